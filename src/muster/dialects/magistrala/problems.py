"""Errors as Magistrala says them: two strings, `error` and `message` (spec A.0)."""

import msgspec

from muster.core import bootstrap, invitations, keys
from muster.core import errors as core
from muster.web import errors as web
from muster.web.desk import Reply


class Problem(msgspec.Struct, kw_only=True):
    """The body of every failure."""

    error: str
    message: str


class BadLogin(core.Unauthenticated):
    """The username or the password is wrong."""


REQUEST = "something went wrong with the request"
AUTHENTICATION = "failed to perform authentication over the entity"
AUTHORIZATION = "failed to perform authorization over the entity"
DOMAIN = "failed to perform authorization over the domain"

# error -> status, message; the concrete reason goes into `error` where upstream has it there.
SAID: dict[type[Exception], tuple[int, str]] = {
    core.Malformed: (400, REQUEST),
    core.Unsupported: (415, REQUEST),
    core.TooLarge: (413, REQUEST),
    core.Unauthenticated: (401, AUTHENTICATION),
    core.Forbidden: (403, AUTHORIZATION),
    core.TenantClosed: (403, DOMAIN),
    core.NotFound: (404, "entity not found"),
    core.Conflict: (409, "entity already exists"),
    core.AlreadyConnected: (409, "entity already exists"),
    core.SameStatus: (409, "status already assigned"),
    core.Stale: (412, "entity was changed meanwhile"),
    core.LimitReached: (403, "limit reached"),
    core.TooMany: (429, "too many failed attempts"),
    core.Unavailable: (503, "service unavailable"),
    bootstrap.UnknownExternalId: (404, "failed to read bootstrap configuration"),
    bootstrap.WrongExternalKey: (403, "failed to get bootstrap configuration for given external key"),
    invitations.AlreadyAccepted: (409, "invitation already accepted"),
    invitations.AlreadyRejected: (409, "invitation already rejected"),
    keys.KeyRefused: (401, "unsupported content token type"),
    BadLogin: (401, "invalid user id or secret"),
    web.MissingToken: (401, "missing or invalid bearer user token"),
    web.NoRoute: (404, "entity not found"),
    web.WrongMethod: (405, "method not allowed"),
    web.Broken: (500, "internal server error"),
}
_TEXTS = {core.Unsupported: "unsupported content type"}
_QUIET = frozenset({core.Unauthenticated, core.TenantClosed, web.MissingToken, web.NoRoute, web.Broken})
"""Where upstream leaves `error` empty, and where more words would tell who exists."""


def problem(error: Exception) -> Reply:
    """Say an error. What is not in the table is a fault of ours, and says nothing."""
    kind = next((k for k in type(error).__mro__ if k in SAID), web.Broken)
    status, message = SAID[kind]
    headers: dict[str, str] = {}
    if isinstance(error, core.TooMany):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, web.WrongMethod):
        headers["Allow"] = ", ".join(error.allow)
    return Reply(status=status, body=Problem(error=_reason(kind, error), message=message), headers=headers)


def _reason(kind: type[Exception], error: Exception) -> str:
    if kind in _TEXTS:
        return _TEXTS[kind]
    if kind in _QUIET or not isinstance(error, core.MusterError):
        return ""
    said = error.message
    return "" if said == (type(error).__doc__ or "").strip() else said
