"""How work reaches a store's threads and how answers return: many at a time, since each wake-up costs."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from muster.core import errors
from muster.core.model import Event
from muster.core.ports import Tx

R = TypeVar("R")
Observe = Callable[[int, float], None]
"""Is told how many use cases shared a commit, and how many seconds they and it took together."""
Witness = Callable[[Sequence[Event]], None]
"""Is told of the events of a commit before anybody is told that it has happened."""


class Mailbox:
    """Answers on their way to one event loop; however many wait there, one wake-up is under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answers: deque[Answer] = deque()
        self._is_called = False

    def put(self, answers: Iterable["Answer"], *, calls: bool = True) -> None:
        """Hand over answers, from any thread; those that do not call go with the next ones that do."""
        self._answers.extend(answers)
        if calls:
            self.call()

    def call(self) -> None:
        """Wake the loop, unless that is under way."""
        if not self._is_called:
            self._is_called = True
            try:
                self._loop.call_soon_threadsafe(self._hand_over)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._answers.clear()

    def _hand_over(self) -> None:
        # First the flag: what is put after this is seen below, or calls again.
        self._is_called = False
        while self._answers:
            job, value, error = self._answers.popleft()
            if job.answer.done():
                continue
            if error is None:
                job.answer.set_result(value)
            elif isinstance(error, StopIteration):  # which a future cannot carry
                job.answer.set_exception(RuntimeError("a use case raised StopIteration"))
            else:
                job.answer.set_exception(error)


class Job(NamedTuple):
    """A use case that somebody awaits."""

    use_case: Callable[[Tx], Any]
    mailbox: Mailbox
    answer: asyncio.Future[Any]


Answer = tuple[Job, Any, BaseException | None]


class Desk:
    """A queue of jobs with the threads that serve it. Every job accepted is answered, also while closing."""

    def __init__(
        self, name: str, serve: Callable[["Desk"], None], *, threads: int = 1, most: int = 10_000
    ) -> None:
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._is_open = True
        self._most = most
        self._mailboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = WeakKeyDictionary()
        self._threads = [
            threading.Thread(target=serve, args=(self,), name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Say how many jobs wait."""
        return self._queue.qsize()

    def submit(self, use_case: Callable[[Tx], Any]) -> asyncio.Future[Any]:
        """Hand in a use case; Unavailable when the store is closing or too much waits already."""
        loop = asyncio.get_running_loop()
        job = Job(use_case, self._mailbox(loop), loop.create_future())
        with self._lock:
            if not self._is_open:
                raise errors.Unavailable("the database is closing")
            if self._queue.qsize() >= self._most:
                raise errors.Unavailable("the database has too much to do at the moment")
            self._queue.put(job)
        return job.answer

    def _mailbox(self, loop: asyncio.AbstractEventLoop) -> Mailbox:
        box = self._mailboxes.get(loop)
        if box is None:
            box = self._mailboxes[loop] = Mailbox(loop)
        return box

    def wait(self, owed: Mailbox | None = None) -> Job | None:
        """Wait for a job; before it comes to waiting, call *owed*. None when no job will come any more."""
        try:
            job = self._queue.get_nowait()
        except Empty:
            if owed is not None:
                owed.call()
            job = self._queue.get()
        if job is None:
            self._queue.put(None)  # for the next thread
            if owed is not None:
                owed.call()
        return job

    def more(self) -> Job | None:
        """Give a job that waits already, or None."""
        try:
            job = self._queue.get_nowait()
        except Empty:
            return None
        if job is None:
            self._queue.put(None)
        return job

    def close(self) -> None:
        """Take no more, finish what was accepted, end the threads."""
        with self._lock:
            was_open, self._is_open = self._is_open, False
        if was_open:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()


def call(use_case: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any], transaction: Tx) -> R:
    """Run the use case; in this order of arguments so that all but the transaction can be given before."""
    return use_case(transaction, *args, **kwargs)


def settle(answers: list[Answer]) -> None:
    """Give every awaiter its answer, in as few wake-ups as there are event loops."""
    boxes = {answer[0].mailbox for answer in answers}
    for box in boxes:
        box.put(answers if len(boxes) == 1 else [answer for answer in answers if answer[0].mailbox is box])
