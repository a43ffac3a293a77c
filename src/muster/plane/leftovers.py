"""What the broker still holds of a channel that is gone: retained messages, and those kept to be read back.

The id of a channel may be given again, to somebody else; what was said there before is not for them.
"""

from collections.abc import Awaitable, Callable, Sequence

from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from muster.core.errors import Unavailable
from muster.plane.link import FAILURES, Link
from muster.plane.publish import COPY, STREAM
from muster.plane.subjects import Address, topic

RETAINED = "$MQTT.rmsgs."
RETAINED_STREAM = "$MQTT_rmsgs"
_REMOVED = {COPY: "1", "Nmqtt-RFlags": "-3", "Nmqtt-ROrigin": "muster", "Nmqtt-RSource": "muster"}
"""What nats-server writes itself when a retained message is removed, so that every node forgets it; that its
stream is purged the nodes do not notice."""


class Leftovers:
    """Removes them; in the leading process."""

    def __init__(self, link: Link) -> None:
        """Prepare. *link* is of the DEVICES account."""
        self._link = link

    async def drop(self, address: Address) -> None:
        """Have the broker forget all names of the channel. Unavailable: again later."""
        if not self._link.is_up:
            raise Unavailable("the broker is away")
        js = self._link.client.jetstream(timeout=5)
        roots = [name for root in address.roots() for name in (root, f"{root}.>")]
        try:
            await _each(roots, lambda name: self._drop_retained(js, RETAINED + name))
            await _each(roots, lambda name: _purge(js, STREAM, name))
        except FAILURES as error:
            raise Unavailable("the broker does not answer") from error

    async def _drop_retained(self, js: JetStreamContext, subject: str) -> None:
        info = await js.stream_info(RETAINED_STREAM, subjects_filter=subject)
        for each in info.state.subjects or {}:
            headers = {**_REMOVED, "Nmqtt-RTopic": topic(each.removeprefix(RETAINED))}
            await self._link.publish(each, b"", headers=headers)


async def _each(names: Sequence[str], act: Callable[[str], Awaitable[None]]) -> None:
    for name in names:
        try:
            await act(name)
        except NotFoundError:
            return  # there is no such stream yet


async def _purge(js: JetStreamContext, stream: str, subject: str) -> None:
    await js.purge_stream(stream, subject=subject)
