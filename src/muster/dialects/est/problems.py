"""Errors as EST says them: a status and a sentence for a person (RFC 7030, 4.2.3)."""

from typing import Any

from muster.core import errors as core
from muster.web import errors as web
from muster.web.desk import Reply


class NotSecure(core.Forbidden):
    """EST came over plain HTTP: the key would be everybody's."""


SAID: dict[type[Exception], tuple[int, str]] = {
    core.Malformed: (400, "the request cannot be understood"),
    core.Unsupported: (415, "the content type is not supported"),
    core.TooLarge: (413, "the request is too large"),
    core.Unauthenticated: (401, "show a certificate, or the external id and key"),
    NotSecure: (403, "EST needs HTTPS"),
    core.Forbidden: (403, "the device may not enrol"),
    core.NotFound: (404, "there is nothing here"),
    core.Conflict: (409, "the key is in use"),
    core.Stale: (412, "it was changed meanwhile"),
    core.LimitReached: (403, "a limit is reached"),
    core.TooMany: (429, "too many failed attempts"),
    core.Unavailable: (503, "the CA does not answer at the moment"),
    web.MissingToken: (401, "show a certificate, or the external id and key"),
    web.NoRoute: (404, "there is nothing here"),
    web.WrongMethod: (405, "the method is not allowed"),
    web.Broken: (500, "internal error"),
}


def problem(error: Exception) -> Reply:
    """Say an error. Why somebody is not let in is not said."""
    kind = next((k for k in type(error).__mro__ if k in SAID), web.Broken)
    status, said = SAID[kind]
    headers: dict[str, Any] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="est"'
    if isinstance(error, core.TooMany):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, core.Malformed | core.Conflict) and error.message:
        said = error.message
    return Reply(status=status, body=f"{said}\n".encode(), headers=headers, media_type="text/plain")
