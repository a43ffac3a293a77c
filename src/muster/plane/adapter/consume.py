"""What applications read: a tenant's events and telemetry, by long polling, for who has no NATS at hand."""

from base64 import b64encode
from typing import Any

import msgspec
from litestar import Router, get
from litestar.di import Provide

from muster.core import access
from muster.core.access import Caller
from muster.core.errors import Malformed
from muster.core.model import TenantId
from muster.core.ports import Tx
from muster.plane.adapter.downstream import Downstream, Taken
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.wire import number

_MOST, _LONGEST = 500, 30


class MessageOut(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One message; a payload that is no text comes as Base64."""

    kind: str
    headers: dict[str, str]
    payload: str = ""
    payload_base64: str = ""


class MessagesOut(msgspec.Struct, kw_only=True):
    """Messages, and from where to go on: the next call's `after`."""

    next: int
    messages: list[MessageOut]


def routes(downstream: Downstream) -> Router:
    """Give the route."""

    def given() -> Downstream:
        return downstream

    return Router(
        "/", route_handlers=[consume], dependencies={"downstream": Provide(given, sync_to_thread=False)}
    )


@get("/v1/messages/{tenant:str}", operation_id="consumeMessages", opt={"query": ("after", "limit", "wait")})
async def consume(
    request: AnyRequest, tenant: str, desk: Desk, downstream: Downstream
) -> Rendered[MessagesOut]:
    """Give the events after number `after`, and the telemetry that passes while this waits (Muster's own).

    Waits up to `wait` seconds, 30 at most, for the first message.
    """
    after, limit, wait = (number(request, name) for name in ("after", "limit", "wait"))
    limit = 100 if limit is None else limit
    if not 1 <= limit <= _MOST or (wait or 0) > _LONGEST:
        raise Malformed(f"limit is 1 to {_MOST}, wait at most {_LONGEST} seconds")
    await desk.read(request, _may_read, TenantId(tenant), reply=lambda _: Reply())
    taken = await downstream.take(TenantId(tenant), after=after or 0, limit=limit, wait=wait or 0)
    last = max([after or 0, *(each.number for each in taken)])
    return desk.answer(Reply(body=MessagesOut(next=last, messages=[_out(each) for each in taken])))


def _may_read(tx: Tx, caller: Caller, tenant: TenantId) -> None:
    access.enter(tx, caller, tenant).require("device_read")


def _out(taken: Taken) -> MessageOut:
    payload: dict[str, Any] = {}
    try:
        payload["payload"] = taken.payload.decode()
    except UnicodeDecodeError:
        payload["payload_base64"] = b64encode(taken.payload).decode()
    return MessageOut(kind=taken.kind, headers=dict(taken.headers), **payload)
