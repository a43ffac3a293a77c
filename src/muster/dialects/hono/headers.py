"""What Hono says beside the body: versions, places, and for how long an adapter may remember an answer."""

from typing import Any
from urllib.parse import quote

from muster.core.errors import Malformed
from muster.core.versions import Expected
from muster.dialects.hono.problems import MEDIA_TYPE
from muster.web.desk import AnyRequest, Reply
from muster.web.request import incoming


def expected(request: AnyRequest) -> Expected:
    """Read If-Match: versions bare as Hono writes them, quoted (RFC 9110, 13.1.1), weak, or `*`."""
    sent = incoming(request).field(b"if-match").strip()
    if not sent:
        return None
    return frozenset(each.strip().removeprefix("W/").strip('"') for each in sent.split(","))


def created(kind: str, version: str, *ids: str) -> Reply:
    """Say what was created and where it is."""
    place = "/".join(quote(each, safe="") for each in ids)
    headers = {"Location": f"/v1/{kind}/{place}", "ETag": version}
    return Reply(status=201, body={"id": ids[-1]}, headers=headers, media_type=MEDIA_TYPE)


def changed(version: str) -> Reply:
    """Say that it was changed."""
    return Reply(status=204, headers={"ETag": version})


def found(document: Any, version: str) -> Reply:
    """Show it."""
    return Reply(body=document, headers={"ETag": version}, media_type=MEDIA_TYPE)


def gone(_: Any) -> Reply:
    """Say that it was deleted."""
    return Reply(status=204)


def answered(document: Any, *, max_age: int | None, status: int = 200) -> Reply:
    """Answer an adapter."""
    hint = "no-cache" if max_age is None else f"max-age={max_age}"
    return Reply(status=status, body=document, headers={"Cache-Control": hint}, media_type=MEDIA_TYPE)


def checked(value: str, rule: Any, what: str) -> str:
    """Give an id that keeps the rule; Malformed for any other."""
    if not rule.fullmatch(value):
        raise Malformed(f"the {what} breaks the rule for ids: {rule.pattern}")
    return value
