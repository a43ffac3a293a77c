"""Bulk work: one call when it fits, else a call a chunk and a file to resume from; nothing happens twice."""

import contextlib
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol

from muster.cli import output
from muster.cli.failures import PARTLY, USAGE, Stop
from muster.cli.results import MadeFile, write_refused
from muster.cli.rows import Item
from muster.client import Failure, Row

ONE_CALL_ROWS: Final = 100_000
ONE_CALL_BYTES: Final = 15 * 1024**2
"""What a server takes at once, if MUSTER_MAX_BULK and MUSTER_MAX_BODY_BYTES do not say otherwise."""
CHUNK: Final = 10_000
_BAD_ROWS: Final = frozenset({400, 404, 409, 413, 422})
"""Refusals that are about the rows; all others would meet every row."""

Send = Callable[[Sequence[Row], str], list[Row]]
"""Sends rows under an Idempotency-Key and gives what was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be sent, where, and how."""

    source: str
    noun: str
    where: str
    """Server and domain."""
    items: Sequence[Item]
    chunk: int
    """Rows of one call."""
    keeps_going: bool
    """Whether a row that is refused stops the others."""
    resume: Path | None
    """Where progress is written down; None: nowhere, as for standard input."""
    out: Path | None = None
    """Where what is made is written down."""

    @property
    def is_one_call(self) -> bool:
        """Whether it lands whole or not at all."""
        return len(self.items) <= self.chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is; what the resume file holds."""

    run: str
    noun: str
    where: str
    chunk: int
    done: int = 0
    digest: str = ""
    """Of the rows that are done."""
    refused: list[tuple[int, str]] = field(default_factory=list)
    """Of the rows that are done, those that were refused, by number, and why."""
    written: int = 0
    """Bytes of the file of what was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it."""

    made: list[Row] = field(default_factory=list)
    """What this run made; not what an interrupted one did before."""
    refused: list[tuple[Item, str]] = field(default_factory=list)


class Bar(Protocol):
    """Is told how many rows are done."""

    def __call__(self, rows: int, /) -> None: ...


def chunk_for(items: Sequence[Item], asked: int | None) -> int:
    """Give the rows of one call: all of them, unless that is more than a server takes."""
    if asked is not None:
        return asked
    if len(items) > ONE_CALL_ROWS:
        return CHUNK
    size = sum(len(json.dumps(item.body)) + 2 for item in items)
    return len(items) if size <= ONE_CALL_BYTES else max(1, CHUNK * ONE_CALL_BYTES // size)


def run(plan: Plan, send: Send, *, restart: bool = False) -> Outcome:
    """Send all of it, from where an earlier run ended. Failure when the server refuses and that ends it."""
    progress, digest = _begin(plan, restart=restart)
    outcome = Outcome(refused=[(plan.items[at], reason) for at, reason in progress.refused])
    with contextlib.ExitStack() as closing:
        advance = closing.enter_context(_bar(len(plan.items), progress.done))
        made_file = MadeFile(plan.out, keep=progress.written) if plan.out is not None else None
        if made_file is not None:
            closing.callback(made_file.close)
        while progress.done < len(plan.items):
            batch = plan.items[progress.done : progress.done + progress.chunk]
            with _nothing_left(plan, progress):
                made, refused = _send(plan, send, progress.run, batch, progress.done)
            outcome.made.extend(made)
            outcome.refused.extend((plan.items[at], reason) for at, reason in refused)
            _update(digest, batch)
            progress = replace(
                progress,
                done=progress.done + len(batch),
                digest=digest.hexdigest(),
                refused=[*progress.refused, *refused],
                written=made_file.add(made) if made_file is not None else 0,
            )
            _write(plan.resume, progress)
            advance(len(batch))
    if plan.resume is not None:
        plan.resume.unlink(missing_ok=True)
    return outcome


@contextlib.contextmanager
def _nothing_left(plan: Plan, progress: Progress) -> Iterator[None]:
    """Leave no file to resume from when the server refused the first call: there is nothing to go on with."""
    try:
        yield
    except Failure as failure:
        if (
            plan.resume is not None
            and not progress.done
            and failure.status is not None
            and failure.status < 500
        ):
            plan.resume.unlink(missing_ok=True)
        raise


def _send(
    plan: Plan, send: Send, run_: str, batch: Sequence[Item], start: int
) -> tuple[list[Row], list[tuple[int, str]]]:
    """Send a batch; where rows go on, halve a refused one until the rows are found that are to blame."""
    try:
        return send([item.body for item in batch], f"{run_}-{start}-{len(batch)}"), []
    except Failure as failure:
        if not plan.keeps_going or failure.status not in _BAD_ROWS:
            raise
        if len(batch) == 1:
            return [], [(start, failure.reason)]
        half = len(batch) // 2
        made, refused = _send(plan, send, run_, batch[:half], start)
        more, others = _send(plan, send, run_, batch[half:], start + half)
        return made + more, refused + others


# --- the resume file -------------------------------------------------------------------------------------


def resume_file(source: str) -> Path | None:
    """Say where progress of a file is kept: beside it; nowhere for standard input."""
    return None if source == "-" else Path(f"{source}.muster-resume")


def _begin(plan: Plan, *, restart: bool) -> tuple[Progress, Any]:
    digest = sha256()
    found = None if restart else _read(plan.resume)
    if found is None:
        fresh = Progress(run=uuid.uuid4().hex, noun=plan.noun, where=plan.where, chunk=plan.chunk)
        _write(plan.resume, fresh)
        return fresh, digest
    _update(digest, plan.items[: found.done])
    is_same = (found.noun, found.where) == (plan.noun, plan.where)
    if not is_same or (found.done and found.digest != digest.hexdigest()):
        raise Stop(
            f"{plan.resume} belongs to another file, server or domain than this",
            hint="an interrupted run left it; put things back and go on, or begin anew: --restart",
            code=USAGE,
        )
    if found.done:
        output.say(f"continuing after row {found.done} of {len(plan.items)}, as {plan.resume} says")
    return found, digest


def _read(where: Path | None) -> Progress | None:
    if where is None or not where.exists():
        return None
    try:
        return Progress(**json.loads(where.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise Stop(f"{where} cannot be read", hint="begin anew with --restart", code=USAGE) from None


def _write(where: Path | None, progress: Progress) -> None:
    if where is None:
        return
    fresh = where.with_name(f"{where.name}.new")
    with fresh.open("w", encoding="utf-8") as out:
        json.dump(asdict(progress), out)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(where)


def _update(digest: Any, items: Sequence[Item]) -> None:
    for item in items:
        digest.update(json.dumps(item.body, sort_keys=True).encode() + b"\n")


# --- what a person sees ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _bar(total: int, done: int) -> Iterator[Bar]:
    """Show progress, rate and time left, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _rows: None
        return
    from rich import progress as bars  # noqa: PLC0415 slow to import
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Rate(bars.ProgressColumn):
        def render(self, task: bars.Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    columns = (bars.BarColumn(), bars.MofNCompleteColumn(), Rate(), bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=total, completed=done)
        yield lambda rows: shown.advance(task, rows)


def end(plan: Plan, outcome: Outcome) -> None:
    """Say what was refused, and end with the exit code for work that is done in part."""
    if not outcome.refused:
        return
    where = Path(f"{plan.source if plan.source != '-' else plan.noun}.refused.csv")
    write_refused(where, outcome.refused)
    raise Stop(
        f"{len(outcome.refused)} of {len(plan.items)} rows were refused; the others are done",
        hint=f"{where} has each with its line and reason; correct it and run it the same way",
        code=PARTLY,
    )
