"""The program `muster` as a tree of commands, each loaded when it is needed, and the end of every run."""

import errno
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import rich_click as click

from muster.cli.failures import ABORTED, USAGE, report


class LateGroup(click.RichGroup):
    """A group that knows its commands by name, place and one line of help, and imports only what is called.

    *late*: `module:attribute` and the line by the command's name. A name of two words belongs to the group
    of the first.
    """

    def __init__(self, *args: Any, late: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late = dict(late or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        return [*(name for name in self._late if " " not in name), *own]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give the command; for a list of commands, only what a list shows of it."""
        if cmd_name not in self._late or " " in cmd_name:
            return super().get_command(ctx, cmd_name)
        return click.RichCommand(name=cmd_name, help=self._late[cmd_name][1])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Give the command itself."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name not in self._late else self.load(str(name)), rest

    def load(self, name: str) -> click.Command:
        """Import a command, with what others add to it."""
        command = _imported(self._late[name][0])
        for full, (place, _) in self._late.items():
            if full.startswith(f"{name} ") and isinstance(command, click.Group):
                command.add_command(_imported(place))
        return command

    def commands_of(self, ctx: click.Context) -> dict[str, click.Command]:
        """Give all commands, imported."""
        found = {name: self.load(name) for name in self._late if " " not in name}
        return found | {name: self.commands[name] for name in super().list_commands(ctx)}


def _imported(place: str) -> click.Command:
    module, _, attribute = place.partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


class Program(LateGroup):
    """The whole program: it always ends in an exit code and, if it failed, in words on standard error."""

    def main(self, args: Any = None, prog_name: Any = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run and exit, as click does, but with our errors."""
        if not extra.pop("standalone_mode", True):
            return super().main(args, prog_name, standalone_mode=False, **extra)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        sys.exit(self._run(args, prog_name, extra))

    def _run(self, args: Any, prog_name: Any, extra: dict[str, Any]) -> int:
        try:
            given = list(sys.argv[1:] if args is None else args)
            _check_text(given)
            code = super().main(given, prog_name or "muster", standalone_mode=False, **extra)
            sys.stdout.flush()
        except (click.Abort, KeyboardInterrupt, EOFError):
            click.echo("stopped", err=True)
            return ABORTED
        except OSError as error:
            if error.errno == errno.EPIPE:
                return _reader_gone()
            return report(error)
        except Exception as error:  # noqa: BLE001 a person gets a sentence, whatever it is
            return report(error)
        return code if isinstance(code, int) else 0


def _check_text(args: list[str]) -> None:
    for arg in args:
        try:
            arg.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{os.fsencode(arg)!r} is no UTF-8 text") from None


def _reader_gone() -> int:
    """End quietly when nobody reads on, as in `muster clients list | head -1`."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return 1


__all__ = ["USAGE", "LateGroup", "Program"]
