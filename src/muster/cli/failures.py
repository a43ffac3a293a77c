"""What goes wrong, said to a person: the reason, what to do next, and an exit code for scripts."""

import sys
import traceback
from typing import TYPE_CHECKING, Final

import rich_click as click
from click.exceptions import NoArgsIsHelpError

if TYPE_CHECKING:
    from muster.client import Failure

DONE: Final = 0
REFUSED: Final = 1
"""The server said no."""
USAGE: Final = 2
"""The command line or a file named on it is wrong; the server was not asked to change anything."""
UNREACHABLE: Final = 3
"""Nobody answered."""
PARTLY: Final = 4
"""Some rows are done, some are not; the command said which."""
FAULT: Final = 70
"""A fault of this program."""
ABORTED: Final = 130

EXIT_CODES: Final = {
    DONE: "done",
    REFUSED: "the server refused; the error says why",
    USAGE: "the command line, a file named on it or a setting is wrong",
    UNREACHABLE: "no server answers at the address",
    PARTLY: "of a file, some rows are done and some are not; the command names the file that says which",
    FAULT: "a fault of Muster's command line; please report it",
    ABORTED: "stopped by Ctrl-C",
}


class Stop(click.ClickException):
    """An end with a reason, a hint and an exit code of its own."""

    def __init__(self, reason: str, *, hint: str = "", code: int = REFUSED) -> None:
        super().__init__(reason)
        self.hint = hint
        self.exit_code = code  # type: ignore[misc]  # click means it so


def report(error: Exception) -> int:
    """Say the error on standard error; give the exit code."""
    from muster.client import Failure  # noqa: PLC0415 slow to import, and most of the help needs none of it

    if isinstance(error, Failure):
        _say(_sentence(error), hint(error))
        return UNREACHABLE if error.is_unreachable else REFUSED
    if isinstance(error, NoArgsIsHelpError):
        click.echo(error.message, err=True)
        return USAGE
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx is not None else "muster"
        _say(error.format_message(), f"{command} --help")
        return USAGE
    if isinstance(error, click.ClickException):
        _say(error.format_message(), getattr(error, "hint", ""))
        return error.exit_code
    if isinstance(error, OSError):
        _say(f"{error.filename or 'a file'}: {error.strerror or error}", "")
        return USAGE
    if sys.flags.dev_mode:
        traceback.print_exception(error)
    _say(
        f"this is a fault of Muster: {type(error).__name__}: {error}",
        "run `python -X dev -m muster …` for more",
    )
    return FAULT


def _say(reason: str, advice: str) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {reason}", err=True)
    if advice:
        click.echo(f"{click.style('next:', fg='cyan')} {advice}", err=True)


def _sentence(failure: "Failure") -> str:
    parts = [failure.reason]
    if failure.status is not None:
        parts.append(
            f"({failure.status} for {failure.request})" if failure.request else f"({failure.status})"
        )
    if failure.request_id:
        parts.append(f"[request {failure.request_id}]")
    return " ".join(parts)


_HINTS: Final = {
    400: "the server's words say which value it did not take; `--help` shows what it takes",
    401: "log in with `muster login`, or set MUSTER_TOKEN",
    403: "`muster status` shows who you are and in which domain; an admin of the domain can give you a role",
    404: "check the id and the domain: `muster status` shows the domain that is used without --domain",
    405: "does the address lead to a Muster, and to one as new as this program?",
    409: "it exists already or is in that state already: list it, or choose another name or id",
    412: "somebody changed it meanwhile: get it again and repeat",
    413: "send less at once, --chunk sets the rows; the operator's limit is MUSTER_MAX_BODY_BYTES",
    500: "a fault of the server; its log has more under the request's number",
    503: "the server is there but not ready, for instance starting or without its database; try again soon",
}


def hint(failure: "Failure") -> str:
    """Say what to do next."""
    if failure.is_unreachable:
        return (
            "is it running? `muster serve` starts one here; another address: --url, MUSTER_URL or a profile"
        )
    if failure.retry_after is not None:
        return f"try again in {failure.retry_after} s"
    return _HINTS.get(failure.status or 0, "")
