"""Writes docs/cli.md from the commands themselves: `muster reference > docs/cli.md`."""

from collections.abc import Iterator
from typing import Final

import rich_click as click

from muster.cli.failures import EXIT_CODES
from muster.cli.root import LateGroup

HEAD: Final = """\
<!-- Written by `muster reference > docs/cli.md`; change src/muster/cli instead. -->
# The command line

`muster` is two programs in one. `serve`, `config`, `db`, `nats-config`, `doctor` and `users recover` are for
the owner of the machine that Muster runs on: they read its settings and its database. All others are for
users of its API and go through it, from any machine.

```
muster login jane                                # asks for the password; --password - reads it from a pipe
muster domains create Plant plant
muster domains use plant
muster provision 33:52:79:C3:43 --make-key       # clients, channels, connections, bootstrap: all or nothing
muster clients list -o json | jq -r '.clients[].id'
muster provision clients devices.csv --out made.csv
```

Results go to standard output, as a table or with `-o json` as one JSON document; all else goes to standard
error. Nothing is asked where there is no terminal to answer. A secret is never an argument, where every
process of the machine could read it: options such as `--password` and `--key` name the file in whose first
line it stands, or `-` for standard input.

## Server, user, domain

A profile holds an address, tokens and a domain, in `$XDG_CONFIG_HOME/muster/profiles.json` (else
`~/.config/muster/profiles.json`), mode 0600. An expired access token is renewed by itself. The tokens of a
profile are sent to that profile's address and to no other.

| to say | option | environment | else |
| --- | --- | --- | --- |
| which profile | `--profile` | `MUSTER_PROFILE` | the one chosen with `muster profiles use` |
| which server | `--url` | `MUSTER_URL` | the profile's, at first `http://127.0.0.1:8080` |
| who you are | | `MUSTER_TOKEN` | the profile's (`muster login`) |
| which domain, by id or alias | `--domain` | | the profile's (`muster domains use`), else your only one |
| what results look like | `--output` | `MUSTER_OUTPUT` | `table` |

## Exit codes

| code | means |
| --- | --- |
"""
FILES: Final = """
## Files of many

| file | CSV | JSON, or NDJSON with an object a line |
| --- | --- | --- |
| clients | column 1 is the name; or headings | array of objects as in `POST /{domain}/clients` |
| channels | column 1 is the name; or headings | array of objects as in `POST /{domain}/channels` |
| connections | `client_id,channel_id` and, unless both are meant, `publish` or `subscribe` | array of \
objects with `client_ids`, `channel_ids`, `types`: each client to each channel |

Headings are `name` (the first), `id`, `identity`, `secret`, `route`, `tags` (`a;b`), `metadata` (JSON),
`status` and `group`.

The whole file is checked first; whatever is wrong is listed with its line, and nothing is sent. A file
without a row is wrong, too: whatever was to fill it did not. Up to 100,000
rows and 15 MiB go in one call: all of them land or none. A larger file goes in chunks (`--chunk`), each whole
or not at all. Progress is kept in `FILE.muster-resume`: after an interruption the same command goes on where
it ended. Each call carries an idempotency key, so no row is made twice; the server remembers those for 24 h.

With `--keep-going`, rows that the server refuses do not stop the others: they end up in `FILE.refused.csv`
with line and reason, to be corrected and sent again.
"""


def page(root: click.Context) -> str:
    """Give the whole page."""
    codes = [f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items()]
    return "".join([HEAD, *codes, FILES, "\n## Commands\n", *_sections(root.command, root)])


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    for name, child in _children(command, context).items():
        below = click.Context(child, info_name=name, parent=context)
        yield _section(child, below)
        yield from _sections(child, below)


def _children(command: click.Command, context: click.Context) -> dict[str, click.Command]:
    if isinstance(command, LateGroup):
        return command.commands_of(context)
    return dict(command.commands) if isinstance(command, click.Group) else {}


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"\n### {context.command_path}\n", f"```\n{usage}\n```\n", _help(command), ""]
    records = [record for each in command.params if (record := each.get_help_record(context)) is not None]
    if records:
        lines += ["| option | |", "| --- | --- |"]
        lines += [f"| `{_cell(names)}` | {_cell(help_)} |" for names, help_ in records]
        lines.append("")
    return "\n".join(lines)


def _help(command: click.Command) -> str:
    return "\n".join(line.strip() for line in (command.help or "").split("\n")).strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
