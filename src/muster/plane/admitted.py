"""What one process tells the leading one when it lets a device in: who, from where, what it may read."""

import msgspec

from muster.core.messaging import Rights

ADMITTED = "_MUSTER.admitted"
"""The leading process answers here, with nothing, when it is ready for the device."""


class Admitted(msgspec.Struct, frozen=True, array_like=True):
    """A device is being let in.

    Of the channels it may subscribe all names are told, (id, tenant id, route, tenant alias), of those it may
    publish to the ids.
    """

    session: str
    client_id: str
    source: str
    protocol: str
    channels: list[tuple[str, str, str | None, str | None]]
    publishes: list[str]
    server: str
    cid: int
    """Which connection it is: the broker's own number, of one of its servers."""
    mark: str
    """As Rights.mark."""


def admitted(
    rights: Rights, connection: tuple[str, int], client_id: str, source: str, protocol: str
) -> Admitted:
    """Say it of a device that is let in with these rights."""
    channels: list[tuple[str, str, str | None, str | None]] = [
        (right.channel_id, right.tenant_id, right.route, right.tenant_alias)
        for right in rights.channels
        if right.subscribe
    ]
    publishes: list[str] = [right.channel_id for right in rights.channels if right.publish]
    told = (client_id, source, protocol, channels, publishes)
    return Admitted(rights.session, *told, *connection, rights.mark)


write_admitted = msgspec.msgpack.Encoder().encode
read_admitted = msgspec.msgpack.Decoder(Admitted).decode
