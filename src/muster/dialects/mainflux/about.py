"""What each of upstream's services said of itself (spec B.7)."""

import msgspec
from litestar import get

from muster.dialects.mainflux import wire
from muster.dialects.mainflux.options import Options
from muster.web.desk import AnyRequest, Desk, Rendered, Reply

SERVICES = {
    8180: "users",
    8182: "things",
    8189: "auth",
    8185: "http",
    8186: "ws",
    8190: "provision",
    8888: "provision",
    8091: "provision",
    8202: "bootstrap",
    8204: "certs",
    8905: "message-reader",
    8989: "things",
}
"""Upstream's service by the port it listens on (spec 0, B.4); 8888 and 8091 stand in the seeds."""


class Version(wire.Out, kw_only=True):
    """Which service it is, and of which version."""

    service: str
    version: str


@get("/version", operation_id="getVersion", media_type="text/plain", opt={"public": True})
async def get_version(request: AnyRequest, desk: Desk, options: Options) -> Rendered[Version]:
    """Say the version; JSON that calls itself plain text."""
    server = request.scope["server"]
    service = SERVICES.get((server[1] if server is not None else None) or 0, "things")
    said = msgspec.json.encode(Version(service=service, version=options.version))
    return desk.answer(Reply(body=said, media_type="text/plain; charset=utf-8"))


HANDLERS = [get_version]
