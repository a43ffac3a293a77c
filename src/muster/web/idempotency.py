"""A request with an Idempotency-Key has its effect once; whoever repeats it gets the answer of the first."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from muster.core.access import Evidence, KeySecret
from muster.core.model import Instant, Secret, StoredReply
from muster.core.ports import ANYWHERE, Before, Tx, Window
from muster.web.errors import BadHeader, KeyReused
from muster.web.reply import Rendered
from muster.web.request import Request

A = TypeVar("A")

KEPT = 24 * 3600 * 1_000_000
"""How long an answer is kept, in microseconds."""
_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?", re.ASCII)
_PURPOSE = "idempotency"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a repeated request has in common with the first: *who* asks *what*, and with which body."""

    who: str
    what: str
    body: str


def mark(request: Request, evidence: Evidence | None) -> Mark | None:
    """Give the mark of a POST that carries an Idempotency-Key, else None.

    Without a caller whoever sends the same Authorization is the same. BadHeader for a key that is not 1 to
    255 visible characters.
    """
    if b"idempotency-key" not in request.fields or request.scope["method"] != "POST":
        return None
    key = request.field(b"idempotency-key").strip()
    if _KEY.fullmatch(key) is None:
        raise BadHeader("invalid idempotency key")
    scope = request.scope
    path = scope.get("raw_path") or scope["path"].encode()
    what = "\n".join(["POST", path.decode("latin-1"), scope["query_string"].decode("latin-1"), key])
    return Mark(_who(request, evidence), what, sha256(request.received).hexdigest())


def _who(request: Request, evidence: Evidence | None) -> str:
    if evidence is None:
        return "anyone " + request.field(b"authorization")
    return "key " + evidence.plain if isinstance(evidence, KeySecret) else "user " + evidence.user_id


def once(
    tx: Tx, mark: Mark, authenticate: Callable[[Tx], A], work: Callable[[Tx, A], Rendered[Any]]
) -> Rendered[Any]:
    """Do the work and keep its answer, or give the kept one; both only to whom *authenticate* lets pass.

    Equal requests at the same time wait for each other. KeyReused when the body is another. An error of the
    work leaves nothing, so it may be tried again.
    """
    reply_ids = [digest.hex() for digest in tx.digests(_PURPOSE, f"{mark.who}\n{mark.what}")]
    # The locks come first: on PostgreSQL a snapshot taken before them would miss the answer they waited for.
    # In one order, whichever master key another process takes for the newest.
    for reply_id in sorted(reply_ids):
        tx.lock(f"{_PURPOSE}:{reply_id}")
    caller = authenticate(tx)
    kept = _kept(tx, reply_ids)
    if kept is not None and kept.created_at > tx.now - KEPT:
        if kept.body_digest not in tx.digests(_PURPOSE, mark.body):
            raise KeyReused("the idempotency key was used for another body")
        return _restored(kept)
    answer = work(tx, caller)
    if kept is not None:
        tx.remove(StoredReply, ANYWHERE, id=kept.id)
    if answer.status < 500:
        tx.add(_stored(answer, reply_ids[0], tx.digest(_PURPOSE, mark.body), tx.now))
    return answer


def _kept(tx: Tx, reply_ids: list[str]) -> StoredReply | None:
    """Give the reply that is kept, under whichever master key it was."""
    found = (tx.get(StoredReply, ANYWHERE, reply_id) for reply_id in reply_ids)
    return next((each for each in found if each is not None), None)


def _stored(answer: Rendered[Any], reply_id: str, body_digest: bytes, now: Instant) -> StoredReply:
    return StoredReply(
        id=reply_id,
        body_digest=body_digest,
        status=answer.status,
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in answer.fields},
        body=Secret(answer.payload.decode("latin-1")),
        created_at=now,
    )


def _restored(kept: StoredReply) -> Rendered[Any]:
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.headers.items()]
    return Rendered(kept.status, fields, kept.body.reveal().encode("latin-1"))


def forget(tx: Tx, most: int = 1000) -> int:
    """Delete up to *most* answers that are kept no longer; say how many. For maintenance, now and then."""
    end = Instant(tx.now - KEPT)
    old = tx.select(StoredReply, ANYWHERE, Before("created_at", end), window=Window(0, most))
    return tx.remove(StoredReply, ANYWHERE, id=[kept.id for kept in old]) if old else 0
