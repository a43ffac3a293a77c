"""Muster's own connections to the broker: they come up when the broker does, and come back for ever."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from muster.core.errors import Unavailable
from muster.plane.keys import Keys
from muster.plane.lasting import Lasting

log = structlog.get_logger("muster.broker")
Handle = Callable[[Msg], Awaitable[None]]
_PENDING_BYTES = 32 * 1024 * 1024
_SAY_AGAIN_SECONDS = 30.0
FAILURES = (NatsError, OSError)
"""What the library raises when the broker is away, or goes away meanwhile; a TimeoutError is an OSError."""


class Link:
    """A connection as one of the broker's accounts. It may be used while the broker is away."""

    def __init__(
        self,
        urls: Sequence[str],
        keys: Keys,
        account: str,
        *,
        client: Client | None = None,
        echo: bool = True,
    ) -> None:
        """Prepare; without *echo* the connection is not given the messages it sends itself."""
        self.client = client if client is not None else Lasting()
        self._echo = echo
        self._urls = list(urls)
        self._seed = keys.nkey(account)
        self._account = account
        self._subscriptions: list[tuple[str, str, Handle]] = []
        self._on_up: list[Callable[[], Awaitable[None]]] = []
        self._is_started = False
        self._is_up = asyncio.Event()
        self._said_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_up(self) -> bool:
        """Whether the broker is there at the moment."""
        return self._is_up.is_set()

    def on_message(self, subject: str, handle: Handle, *, queue: str = "") -> None:
        """Have the messages of *subject* handled, one after another. Say so before start."""
        self._subscriptions.append((subject, queue, handle))

    def on_up(self, act: Callable[[], Awaitable[None]]) -> None:
        """Have *act* done each time the connection has come up. Say so before start."""
        self._on_up.append(act)

    def start(self) -> None:
        """Begin to connect."""
        self._is_started = True
        self.spawn(self._connect())

    async def wait_up(self, patience: float) -> None:
        """Wait for the broker. Unavailable when it does not answer within *patience* seconds."""
        try:
            await asyncio.wait_for(self._is_up.wait(), patience)
        except TimeoutError:
            raise Unavailable("the broker does not answer") from None

    async def stop(self) -> None:
        """Close the connection; what was published before is sent."""
        if self.is_up:
            with contextlib.suppress(*FAILURES):
                await self.client.flush(timeout=2)
        self._is_up.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._is_started:
            await self._close()

    async def _close(self) -> None:
        # The broker may be going away at this very moment; the library then raises what the transport does.
        try:
            await self.client.close()
        except Exception as error:  # noqa: BLE001
            log.info("broker connection", account=self._account, error=type(error).__name__, says=str(error))

    async def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Send a message. Unavailable while the broker is away."""
        if not self.is_up:
            raise Unavailable("the broker is away")
        try:
            await self.client.publish(subject, payload, reply=reply, headers=headers)
        except FAILURES as error:
            raise Unavailable("the broker is away") from error

    async def request(self, subject: str, payload: bytes = b"", *, patience: float = 2) -> bytes | None:
        """Ask and give the first answer, None if nobody is there to ask. Unavailable without one in time."""
        try:
            return bytes((await self.client.request(subject, payload, timeout=patience)).data)
        except NoRespondersError:
            return None
        except FAILURES as error:
            raise Unavailable("the broker does not answer") from error

    async def subscribe(self, subject: str, handle: Handle) -> Subscription:
        """Have messages handled from now on, until unsubscribed. Unavailable while the broker is away."""
        try:
            return await self.client.subscribe(subject, cb=handle)
        except FAILURES as error:
            raise Unavailable("the broker is away") from error

    async def flush(self) -> None:
        """Wait until the broker has read all that was sent. Unavailable if it does not say so in time."""
        try:
            await self.client.flush()
        except FAILURES as error:
            raise Unavailable("the broker does not answer") from error

    async def gather(self, subject: str, payload: bytes, *, quiet: float, expected: int) -> list[bytes]:
        """Ask every server; give the answers once *expected* came, or none for *quiet* seconds."""
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(message: Msg) -> None:
            answers.put_nowait(message.data)

        inbox = self.client.new_inbox()
        subscription = await self.subscribe(inbox, take)
        try:
            await self.publish(subject, payload, reply=inbox)
            given: list[bytes] = []
            with contextlib.suppress(TimeoutError):
                while len(given) < expected:
                    given.append(await asyncio.wait_for(answers.get(), quiet))
            return given
        finally:
            with contextlib.suppress(*FAILURES):
                await subscription.unsubscribe()

    def spawn(self, work: Awaitable[None]) -> None:
        """Do *work* beside everything else; stop ends it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "broker work failed", account=self._account, error=type(error).__name__, says=str(error)
            )

    async def _connect(self) -> None:
        await self.client.connect(
            servers=self._urls,
            name="muster",
            nkeys_seed_str=self._seed,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.05,  # type: ignore[arg-type]  # slept, so parts of a second work
            no_echo=not self._echo,
            connect_timeout=2,
            ping_interval=10,
            max_outstanding_pings=2,
            pending_size=_PENDING_BYTES,
            error_cb=self._on_error,
            disconnected_cb=self._on_down,
            reconnected_cb=self._up,
        )
        for subject, queue, handle in self._subscriptions:
            await self.client.subscribe(subject, queue=queue, cb=handle)
        await self._up()

    async def _up(self) -> None:
        try:
            await self.flush()
        except Unavailable:
            if self.client.is_connected:
                self.spawn(self._up())
            return  # lost again; the library says when it is back
        self._is_up.set()
        self._said_at = 0.0
        log.info("broker reached", account=self._account)
        for act in self._on_up:
            self.spawn(act())

    async def _on_down(self) -> None:
        if self._is_up.is_set():
            log.warning("broker lost", account=self._account)
        self._is_up.clear()

    async def _on_error(self, error: Exception) -> None:
        what = {"account": self._account, "error": type(error).__name__, "says": str(error)}
        if self.is_up:
            log.debug("broker connection", **what)
        elif time.monotonic() - self._said_at > _SAY_AGAIN_SECONDS:
            self._said_at = time.monotonic()
            log.warning("broker not reached", **what)
