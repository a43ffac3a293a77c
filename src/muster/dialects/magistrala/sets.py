"""Many connections at once: sets of clients to sets of channels. Ours; upstream has no such call."""

from litestar import post

from muster.core import connections
from muster.core.access import Caller
from muster.core.errors import Malformed
from muster.core.model import TenantId
from muster.core.ports import Tx
from muster.dialects.magistrala import wire
from muster.dialects.magistrala.options import Options
from muster.web.desk import AnyRequest, Desk, Rendered, Reply


def _checked(given: wire.Connect) -> tuple[list[str], list[str], list[str]]:
    if not given.channel_ids:
        raise Malformed("missing channel id")
    if not given.client_ids:
        raise Malformed("missing cient id")  # sic: upstream's spelling (spec A.0)
    return list(dict.fromkeys(given.channel_ids)), list(dict.fromkeys(given.client_ids)), given.types or []


def _connect_all(tx: Tx, caller: Caller, tenant: TenantId, sets: list[wire.Connect], most: int) -> None:
    wanted = [_checked(each) for each in sets]
    if sum(len(channels) * len(devices) for channels, devices, _ in wanted) > most:
        raise Malformed(f"at most {most} at once")
    for channels, devices, types in wanted:
        connections.connect(tx, caller, tenant, channels, devices, wire.flow_of(types))


@post("/{domain:str}/channels/connect/bulk", operation_id="connectAll", status_code=201)
async def connect_all(
    request: AnyRequest, domain: str, data: list[wire.Connect], desk: Desk, options: Options
) -> Rendered[None]:
    """Connect each set's clients to its channels: all of the sets or none."""
    if not data:
        raise Malformed("empty list provided")
    args = (TenantId(domain), data, options.max_bulk)
    return await desk.run(request, _connect_all, *args, reply=lambda _: Reply(status=201))


HANDLERS = [connect_all]
