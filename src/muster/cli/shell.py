"""`muster completion` and `muster reference`: what shells and readers know of the commands."""

import rich_click as click
from click.shell_completion import get_completion_class

from muster.cli.page import page


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete `muster`; put it where your shell looks for completions.

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
