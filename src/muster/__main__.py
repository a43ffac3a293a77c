"""`muster` and `python -m muster`: the verbs of the machine's owner and of the API's users."""

from collections.abc import Callable

import rich_click as click

from muster import __version__
from muster.admin.start import serve, show_config
from muster.settings import Configuration


def _run(configuration: Configuration, say: Callable[[str], None]) -> None:
    from muster import assembly  # noqa: PLC0415 only the server needs all of it

    assembly.run(configuration, say)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="muster")
@click.pass_context
def main(context: click.Context) -> None:
    """Muster brings a fleet of IoT devices to life."""
    context.obj = _run


main.add_command(serve)
main.add_command(show_config)

if __name__ == "__main__":
    main()
