"""Errors as Mainflux says them: `{"error"}` (spec B.0), in some services other statuses or no body at all."""

from collections.abc import Callable, Mapping

import msgspec

from muster.core import errors as core
from muster.web import errors as web
from muster.web.desk import Reply


class Problem(msgspec.Struct, kw_only=True):
    """The body of a failure."""

    error: str


CREDENTIALS = "missing or invalid credentials provided"
RIGHTS = "failed to perform authorization over the entity"
NO_ENTITY = "non-existent entity"

# error -> status, text; what the core says more precisely takes the text's place.
SAID: dict[type[Exception], tuple[int, str]] = {
    core.Malformed: (400, "malformed entity specification"),
    core.Unsupported: (415, "unsupported content type"),
    core.TooLarge: (413, "request entity too large"),
    core.Unauthenticated: (401, CREDENTIALS),
    core.Forbidden: (403, RIGHTS),
    core.TenantClosed: (403, RIGHTS),
    core.NotFound: (404, NO_ENTITY),
    core.Conflict: (409, "entity already exists"),
    core.AlreadyConnected: (409, "entity already exists"),
    core.SameStatus: (409, "entity already exists"),
    core.Stale: (412, "entity was changed meanwhile"),
    core.LimitReached: (403, "limit reached"),
    core.TooMany: (429, "too many failed attempts"),
    core.Unavailable: (503, "service unavailable"),
    web.MissingToken: (401, CREDENTIALS),
    web.NoRoute: (404, "not found"),
    web.WrongMethod: (405, "method not allowed"),
    web.Broken: (500, "internal server error"),
}
_QUIET = frozenset(
    {
        core.Unsupported,
        core.Unauthenticated,
        core.TenantClosed,
        web.MissingToken,
        web.NoRoute,
        web.WrongMethod,
        web.Broken,
    }
)
"""Where more words would tell who exists, or nothing."""

Statuses = Mapping[type[Exception], int]


def _said_as(statuses: Statuses, *, has_body: bool = True) -> Callable[[Exception], Reply]:
    """Give how a service says errors that differ from the table in these *statuses*."""

    def say(error: Exception) -> Reply:
        kind = next((k for k in type(error).__mro__ if k in SAID), web.Broken)
        status, text = SAID[kind]
        status = statuses.get(kind, status)
        headers: dict[str, str] = {}
        if isinstance(error, core.TooMany):
            headers["Retry-After"] = str(error.retry_after)
        if isinstance(error, web.WrongMethod):
            headers["Allow"] = ", ".join(error.allow)
        body = Problem(error=text if kind in _QUIET else _reason(error, text)) if has_body else None
        return Reply(status=status, body=body, headers=headers)

    return say


def _reason(error: Exception, text: str) -> str:
    said = error.message if isinstance(error, core.MusterError) else ""
    return text if said in ("", (type(error).__doc__ or "").strip()) else said


_REFUSED: Statuses = {core.Unauthenticated: 403, web.MissingToken: 403}
"""In 2021 most services answered 403 where the caller is nobody (spec B.0)."""

problem = _said_as({})
users_problem = _said_as({**_REFUSED, core.NotFound: 400})
auth_problem = _said_as(_REFUSED)
bootstrap_problem = _said_as(_REFUSED)
silent_problem = _said_as({}, has_body=False)
"""Provision, certs and identify say no word (spec B.0); the status is the true one, not 201 or 500."""


def fetch_problem(error: Exception) -> Reply:
    """Say to a device why it gets no configuration: unknown id and wrong key look the same (spec B.5)."""
    if isinstance(error, core.Forbidden):
        error = core.NotFound()
    return bootstrap_problem(error)
