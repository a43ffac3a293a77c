"""Times and binary values as Hono writes and reads them (spec A.2)."""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from datetime import UTC, datetime

from muster.core.errors import Malformed
from muster.core.model import NEVER, Instant

_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def read_time(text: str | None) -> Instant:
    """Read an ISO 8601 time with a colon in its offset; NEVER for None. Malformed for anything else."""
    if text is None:
        return NEVER
    if not _FORM.fullmatch(text):
        raise Malformed("a time is written as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00")
    try:
        return Instant(int(datetime.fromisoformat(text).timestamp() * 1_000_000))
    except (ValueError, OverflowError):
        raise Malformed("there is no such time") from None


def write_time(at: Instant) -> str | None:
    """Write a time as `yyyy-MM-ddTHH:mm:ssZ`; None for NEVER."""
    if at == NEVER:
        return None
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_base64(text: str) -> bytes:
    """Read Base64 in the standard alphabet with padding; Malformed if it is not."""
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError):
        raise Malformed("a value is not Base64") from None


def write_base64(data: bytes) -> str:
    """Write Base64."""
    return b64encode(data).decode("ascii")
