"""`muster completion` and `muster reference`: what shells and readers know of the commands."""

from collections.abc import Iterator

import rich_click as click
from click.shell_completion import get_completion_class

from muster.cli.failures import EXIT_CODES
from muster.cli.root import LateGroup

_HEAD = """\
<!-- Written by `muster reference > docs/cli.md`; change the commands instead. -->
# The command line

`muster` is two programs in one. `serve`, `config`, `db`, `doctor` and `users recover` are for the owner of the machine
that Muster runs on: they read its settings and its database. All others are for users of its API, and go through it
from any machine.

```
muster login jane                                # asks for the password; --password - reads it from a pipe
muster domains create Plant plant
muster domains use plant
muster provision 33:52:79:C3:43 --make-key       # clients, channels, connections, bootstrap: all or nothing
muster clients list -o json | jq -r '.clients[].id'
muster provision clients devices.csv --out made.csv
```

Results go to standard output, as a table or with `-o json` as one JSON document; all else goes to standard error.
Nothing is asked where there is no terminal to answer. A secret is never an argument, where every process of the
machine could read it: options such as `--password` and `--key` name the file it stands in, or `-` for standard input.

## Server, user, domain

A profile holds an address, tokens and a domain, in `$XDG_CONFIG_HOME/muster/profiles.json` (else
`~/.config/muster/profiles.json`), mode 0600. An expired access token is renewed by itself. Tokens of a profile are sent
to that profile's address and to no other.

| to say | option | environment | else |
| --- | --- | --- | --- |
| which profile | `--profile` | `MUSTER_PROFILE` | the one chosen by `muster profiles use` |
| which server | `--url` | `MUSTER_URL` | the profile's, at first `http://127.0.0.1:8080` |
| who you are | `muster login` | `MUSTER_TOKEN` | the profile's |
| which domain, by id or alias | `--domain`, `-d` | | the profile's (`muster domains use`), else your only one |
| what results look like | `--output`, `-o` | `MUSTER_OUTPUT` | `table` |

## Exit codes

| code | means |
| --- | --- |
"""
_FILES = """
## Files of many

| file | CSV | JSON, or NDJSON with one object a line |
| --- | --- | --- |
| clients | column 1 is the name; or headings: `name`, `id`, `identity`, `secret`, `tags` (`a;b`), `metadata` (JSON), `status`, `group` | array of objects as in `POST /{domain}/clients` |
| channels | column 1 is the name; or headings: `name`, `id`, `route`, `tags`, `metadata`, `status`, `group` | array of objects as in `POST /{domain}/channels` |
| connections | `client_id,channel_id` and, unless both are meant, `publish` or `subscribe` | array of `client_ids`, `channel_ids`, `types`: each client to each channel |

The whole file is checked first; whatever is wrong is listed with its line, and nothing is sent. Up to 100,000 rows and
15 MiB go in one call: all of them land or none. A larger file goes in chunks (`--chunk`), each whole or not at all.
Progress is kept in `FILE.muster-resume`: after an interruption the same command goes on where it ended, and every
call carries an idempotency key, so that no row is made twice (the server remembers those for 24 hours).
With `--keep-going` rows that the server refuses do not stop the others: they end up in `FILE.refused.csv` with line and
reason, to be corrected and sent again.
"""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete `muster`: put it where your shell finds it.

    bash: muster completion bash > ~/.local/share/bash-completion/completions/muster
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"nothing is known of {shell}")
    click.echo(found(ctx.find_root().command, {}, "muster", "_MUSTER_COMPLETE").source())


@click.command()
@click.pass_context
def reference(ctx: click.Context) -> None:
    """Print the page docs/cli.md: every command with its options."""
    click.echo(page(ctx.find_root()), nl=False)


def page(root: click.Context) -> str:
    """Give the whole page."""
    codes = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return (
        _HEAD + "\n".join(codes) + "\n" + _FILES + "\n## Commands\n" + "".join(_sections(root.command, root))
    )


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, LateGroup):
        children = command.commands_of(context)
    elif isinstance(command, click.Group):
        children = dict(command.commands)
    else:
        children = {}
    for name, child in children.items():
        below = click.Context(child, info_name=name, parent=context)
        yield _section(child, below)
        yield from _sections(child, below)


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    words = context.command_path.split(" ")
    text = [
        f"\n### {' '.join(words)}\n",
        f"```\n{context.command_path} {usage}\n```\n",
        f"{_help(command)}\n",
    ]
    options = [record for p in command.params if (record := p.get_help_record(context)) is not None]
    if options:
        text += ["| option | |", "| --- | --- |"]
        text += [f"| `{_cell(names)}` | {_cell(help_)} |" for names, help_ in options]
        text.append("")
    return "\n".join(text)


def _help(command: click.Command) -> str:
    lines = (command.help or "").replace("\b", "").split("\n")
    return "\n".join(line.strip() for line in lines).strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
