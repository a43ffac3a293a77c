"""Errors as Hono says them: one string, `error`; every failure carries it (spec A.2)."""

import msgspec

from muster.core import errors as core
from muster.web import errors as web
from muster.web.desk import Reply


class Problem(msgspec.Struct, kw_only=True):
    """The body of every failure."""

    error: str


STATUSES: dict[type[Exception], int] = {
    core.Malformed: 400,
    core.Unsupported: 400,
    core.Unauthenticated: 401,
    core.Forbidden: 403,
    core.LimitReached: 403,
    core.TenantClosed: 404,
    core.NotFound: 404,
    web.WrongMethod: 405,
    core.Conflict: 409,
    core.AlreadyConnected: 409,
    core.SameStatus: 409,
    core.Stale: 412,
    core.TooLarge: 413,
    core.TooMany: 429,
    core.Unavailable: 503,
    web.Broken: 500,
}
_SAID: dict[type[Exception], str] = {
    core.Unsupported: "the content type must be application/json",
    core.TenantClosed: "there is no such tenant, or it is not yours to see",
    web.Broken: "N/A",
}
MEDIA_TYPE = "application/json; charset=utf-8"


def problem(error: Exception) -> Reply:
    """Say an error. What is not in the table is a fault of ours, and says nothing."""
    kind = next((k for k in type(error).__mro__ if k in STATUSES), web.Broken)
    said = _SAID.get(kind) or (error.message if isinstance(error, core.MusterError) else "N/A")
    headers: dict[str, str] = {}
    if isinstance(error, core.TooMany):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, web.WrongMethod):
        headers["Allow"] = ", ".join(error.allow)
    if kind is core.Unauthenticated:
        headers["WWW-Authenticate"] = 'Basic realm="Hono"'
    return Reply(
        status=STATUSES[kind], body=Problem(error=said or "N/A"), headers=headers, media_type=MEDIA_TYPE
    )
