"""Into the broker and out of it without MQTT: publishing for HTTP and WebSocket, the last messages."""

import asyncio
import time
from dataclasses import dataclass

import structlog
from nats.js import api
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from muster.core.errors import TooLarge, Unavailable
from muster.plane.link import FAILURES, Link
from muster.plane.meters import Meters
from muster.plane.subjects import Address, topic

log = structlog.get_logger("muster.broker")
STREAM = "MUSTER_MESSAGES"
COPY = "Muster-Copy"
_STORED = "$MQTT.msgs."
_SUBJECTS = ["channels.*.messages", "channels.*.messages.>", "m.*.c.*", "m.*.c.*.>"]
_WAIT = 2.0
_REPLICAS = 3
_AGAIN_SECONDS = 10.0
_NOT_CLUSTERED = 10074
"""The broker's error code for replicas without a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of what passes is kept to be read back. *bytes* bounds all of it.

    What is copied from one address form to another counts under both, and is shown once.
    """

    messages_per_topic: int = 100
    seconds: float = 86_400
    bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that was kept. *publisher* and *protocol* are empty when it came over MQTT."""

    topic: str
    payload: bytes
    publisher: str
    protocol: str
    created: int
    """Nanoseconds since 1970 UTC."""


class Publisher:
    """Publishes for devices and users that Muster itself has let through, and reads back."""

    def __init__(
        self, link: Link, meters: Meters, *, payload_bytes: int, retention: Retention | None
    ) -> None:
        """Prepare. *link* is of the DEVICES account; without *retention* none is kept."""
        self._link = link
        self._meters = meters
        self._payload_bytes = payload_bytes
        self._retention = retention
        link.on_up(self._set_up)

    async def publish(
        self, address: Address, rest: str, payload: bytes, *, publisher: str, protocol: str
    ) -> None:
        """Send to a channel; *rest* is what subjects.subtopic gives.

        Sessions that subscribed with QoS 1 or 2 get it so, also those that are away. TooLarge for more than
        the limit; Unavailable while the broker is away.
        """
        if len(payload) > self._payload_bytes:
            raise TooLarge(f"a message may have {self._payload_bytes:d} bytes")
        subject = address.roots()[0] + rest
        headers = {
            "Nmqtt-Pub": "1",
            "Muster-Publisher": publisher,
            "Muster-Protocol": protocol,
            "Muster-Created": str(time.time_ns()),
        }
        # As the broker does with a message of QoS 1: to those who listen, and to its store for the others.
        await self._link.publish(subject, payload, headers=headers)
        await self._link.publish(_STORED + subject, payload, headers=headers)
        self._meters.published[protocol].inc()

    async def last(self, address: Address, limit: int) -> list[Message]:
        """Give the newest messages kept of a channel, newest first. Unavailable while the broker is away."""
        if self._retention is None:
            return []
        if not self._link.is_up:
            raise Unavailable("the broker is away")
        try:
            return await self._read(self._link.client.jetstream(timeout=_WAIT), address, limit)
        except NotFoundError:
            return []
        except FAILURES as error:
            raise Unavailable("the broker does not answer") from error

    async def _read(self, js: JetStreamContext, address: Address, limit: int) -> list[Message]:
        names = [name for root in address.roots() for name in (root, f"{root}.>")]
        config = api.ConsumerConfig(
            filter_subjects=names,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=10,
            mem_storage=True,
            num_replicas=1,
        )
        consumer = await js.add_consumer(STREAM, config)
        found: list[Message] = []
        pending = consumer.num_pending or 0
        subscription = await js.pull_subscribe_bind(consumer.name, STREAM)
        try:
            while pending:
                for raw in await subscription.fetch(min(pending, 500), timeout=_WAIT):
                    pending = raw.metadata.num_pending
                    headers = raw.headers or {}
                    if COPY not in headers:
                        found.append(
                            _message(raw.subject, raw.data, headers, raw.metadata.timestamp.timestamp())
                        )
        finally:
            await subscription.unsubscribe()
            await js.delete_consumer(STREAM, consumer.name)
        return found[: -limit - 1 : -1] if limit else []

    async def _set_up(self) -> None:
        """Have the broker keep as much as is asked for."""
        js = self._link.client.jetstream(timeout=5)
        try:
            if self._retention is None:
                await js.delete_stream(STREAM)
            else:
                await self._keep_safe(js, self._retention)
        except NotFoundError:
            return
        except FAILURES as error:
            log.warning("retention not set, again soon", says=str(error))
            self._link.spawn(self._again())

    async def _keep_safe(self, js: JetStreamContext, retention: Retention) -> None:
        """Have each message kept by three nodes as soon as there are three; a broker alone keeps it once."""
        try:
            await _keep(js, _stream(retention, _REPLICAS))
        except APIError as error:
            if error.err_code == _NOT_CLUSTERED:
                await _keep(js, _stream(retention, 1))
                return
            if not await _is_there(js):
                await _keep(js, _stream(retention, 1))
            log.info("messages are not kept by three nodes yet", says=str(error))
            self._link.spawn(self._again())

    async def _again(self) -> None:
        await asyncio.sleep(_AGAIN_SECONDS)
        if self._link.is_up:  # else when it is
            await self._set_up()


async def _keep(js: JetStreamContext, config: api.StreamConfig) -> None:
    try:
        await js.update_stream(config)
    except NotFoundError:
        await js.add_stream(config)


async def _is_there(js: JetStreamContext) -> bool:
    try:
        await js.stream_info(STREAM)
    except NotFoundError:
        return False
    return True


def _stream(retention: Retention, replicas: int) -> api.StreamConfig:
    return api.StreamConfig(
        name=STREAM,
        subjects=_SUBJECTS,
        max_msgs_per_subject=retention.messages_per_topic,
        max_age=retention.seconds,
        max_bytes=retention.bytes,
        no_ack=True,
        num_replicas=replicas,
    )


def _message(subject: str, payload: bytes, headers: dict[str, str], kept_at: float) -> Message:
    created = headers.get("Muster-Created", "")
    return Message(
        topic=topic(subject),
        payload=payload,
        publisher=headers.get("Muster-Publisher", ""),
        protocol=headers.get("Muster-Protocol", "mqtt"),
        created=int(created) if created.isdecimal() else int(kept_at * 1_000_000_000),
    )
