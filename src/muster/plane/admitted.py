"""What one process tells the others when it lets a device in: who comes, from where, what it may read."""

import msgspec

from muster.core.messaging import Rights

ADMITTED = "_MUSTER.admitted"


class Admitted(msgspec.Struct, frozen=True, array_like=True):
    """A device is being let in; channels it may subscribe are (id, tenant id, route, tenant alias)."""

    session: str
    client_id: str
    source: str
    protocol: str
    channels: list[tuple[str, str, str | None, str | None]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Admitted).decode


def write_admitted(rights: Rights, client_id: str, source: str, protocol: str) -> bytes:
    """Give the message that says it."""
    channels: list[tuple[str, str, str | None, str | None]] = [
        (right.channel_id, right.tenant_id, right.route, right.tenant_alias)
        for right in rights.channels
        if right.subscribe
    ]
    return _encode(Admitted(rights.session, client_id, source, protocol, channels))


def read_admitted(message: bytes) -> Admitted:
    """Read what write_admitted wrote."""
    return _decode(message)
