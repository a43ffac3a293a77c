"""Commands from applications without NATS: one request sends one, and may wait for its answer."""

from base64 import b64encode
from dataclasses import dataclass

import msgspec
from litestar import Router, post
from litestar.di import Provide

from muster.core import registry
from muster.core.errors import Malformed, TooLarge
from muster.core.model import Device, TenantId
from muster.plane.adapter.downstream import Answer, Downstream
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.request import incoming
from muster.web.wire import number

_LONGEST = 60
_LONGEST_NAME = 1024
_IN_NO_NAME = frozenset("/+#")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """Where commands go, and how large they may be."""

    downstream: Downstream
    payload_bytes: int


class AnswerOut(msgspec.Struct, kw_only=True, omit_defaults=True, rename="kebab"):
    """A device's answer; a payload that is no text comes as Base64."""

    status: int
    content_type: str = ""
    payload: str = ""
    payload_base64: str = ""


def routes(downstream: Downstream, payload_bytes: int) -> Router:
    """Give the route, for commands of at most so many bytes."""

    def given() -> Outlet:
        return Outlet(downstream=downstream, payload_bytes=payload_bytes)

    return Router("/", route_handlers=[send], dependencies={"outlet": Provide(given, sync_to_thread=False)})


@post(
    "/v1/commands/{tenant:str}/{device:str}/{command:str}",
    operation_id="sendCommand",
    status_code=200,
    opt={"content_type": "any", "query": ("wait",)},
)
async def send(
    request: AnyRequest,
    tenant: str,
    device: str,
    command: str,
    data: bytes,
    desk: Desk,
    outlet: Outlet,
) -> Rendered[AnswerOut]:
    """Send a command to a device that listens now, itself or through a gateway (Muster's own).

    With `wait` (seconds, 60 at most) the device is asked to answer, and its answer is the answer. Without,
    the command is one-way: 202 once it was handed over. 409 when nobody listens or no answer comes.
    """
    wait = number(request, "wait") or 0
    if wait > _LONGEST:
        raise Malformed(f"wait is at most {_LONGEST} seconds")
    kind = incoming(request).field(b"content-type")
    if len(data) > outlet.payload_bytes:
        raise TooLarge(f"a command may have {outlet.payload_bytes} bytes")
    if not (command + kind).isprintable() or _IN_NO_NAME & set(command) or len(command) > _LONGEST_NAME:
        raise Malformed("the command's name must fit into a topic, the content type into a header")
    args = (TenantId(tenant), Device, device, "update")
    await desk.read(request, registry.fetch, *args, reply=lambda _: Reply())
    where = (TenantId(tenant), device, command)
    answer = await outlet.downstream.command(*where, data, content_type=kind, wait=wait)
    if answer is None:
        return desk.answer(Reply(status=202))
    return desk.answer(Reply(body=_out(answer)))


def _out(answer: Answer) -> AnswerOut:
    made = AnswerOut(status=answer.status, content_type=answer.content_type)
    try:
        made.payload = answer.payload.decode()
    except UnicodeDecodeError:
        made.payload_base64 = b64encode(answer.payload).decode()
    return made
