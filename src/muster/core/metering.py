"""What a tenant's devices have used of what its limits allow: bytes sent, seconds connected (spec A.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from muster.core import access
from muster.core.access import Caller
from muster.core.identity import hono
from muster.core.model import Instant, Json, Tenant, TenantId
from muster.core.ports import ANYWHERE, Before, Is, OneOf, Tx

_DAY = 86_400_000_000


class Kind(StrEnum):
    """What is metered."""

    BYTES = "bytes"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How much of one kind a tenant's devices have used since the beginning of a period."""

    tenant_id: TenantId
    what: Kind
    since: Instant
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much may be used in the period that runs now."""

    kind: Kind
    since: Instant
    until: Instant
    most: int


def limits_of(tenant: Tenant) -> Mapping[str, Json]:
    """Give a tenant's resource limits as the Hono door keeps them."""
    kept: Mapping[str, Json] = hono(tenant.extensions).get("resource-limits") or {}
    return kept


def allowance(kind: Kind, limits: Mapping[str, Json], now: Instant) -> Allowance | None:
    """Read the limit of a tenant's resource limits; None when there is none that counts now.

    The month that a monthly limit begins in has its part of it only. Periods of a mode that is neither
    `monthly` (the default) nor `days` are not known here: no limit.
    """
    name, member, scale = _WORDS[kind]
    limit = limits.get(name) or {}
    most = limit.get(member, -1) * scale
    if most < 0:
        return None
    begin = Instant(int(datetime.fromisoformat(limit["effective-since"]).timestamp() * 1_000_000))
    period = limit.get("period") or {"mode": "monthly"}
    if now < begin or period["mode"] not in ("monthly", "days"):
        return None
    if period["mode"] == "days":
        length = period["no-of-days"] * _DAY
        since = begin + (now - begin) // length * length
        return Allowance(kind=kind, since=Instant(since), until=Instant(since + length), most=most)
    first, following = _month(now)
    since = max(begin, first)
    part = most * (following - since) // (following - first)
    return Allowance(kind=kind, since=Instant(since), until=following, most=part)


_WORDS = {
    Kind.BYTES: ("data-volume", "max-bytes", 1),
    Kind.SECONDS: ("connection-duration", "max-minutes", 60),
}


def _month(now: Instant) -> tuple[Instant, Instant]:
    """Give the begin of the month and of the next one, in UTC."""
    first = datetime.fromtimestamp(now // 1_000_000, UTC).replace(day=1, hour=0, minute=0, second=0)
    following = (first + timedelta(days=32)).replace(day=1)
    begin, end = (int(each.timestamp()) * 1_000_000 for each in (first, following))
    return Instant(begin), Instant(end)


def metered(size: int, least: int) -> int:
    """Give what a message counts for: its size, rounded up to a multiple of the tenant's least size."""
    return -(-size // least) * least if least > 0 else size


def used(tx: Tx, tenant_id: TenantId, allowed: Allowance) -> int:
    """Say how much is used in the period."""
    found = tx.find(Usage, tenant_id, what=allowed.kind, since=allowed.since)
    return found.amount if found is not None else 0


def usage(tx: Tx, caller: Caller, tenant_id: TenantId) -> list[tuple[Allowance, int]]:
    """Give each limit of the tenant that counts now, and how much of it is used; whoever may read the tenant.

    What the adapters took in lately they may not have written yet.
    """
    standing = access.enter(tx, caller, tenant_id)
    standing.require("read")
    limits = limits_of(standing.tenant)
    found = [allowance(kind, limits, tx.now) for kind in Kind]
    return [(each, used(tx, tenant_id, each)) for each in found if each is not None]


def add(tx: Tx, more: Sequence[Usage]) -> list[Usage]:
    """Add up what was used; give the sums. What periods before have used is forgotten.

    Of a tenant that was deleted meanwhile nothing is kept: whoever has its id next begins with nothing.
    """
    there = {each.id for each in tx.select(Tenant, ANYWHERE, OneOf("id", [each.tenant_id for each in more]))}
    kept = [each for each in more if each.tenant_id in there]
    return [_add(tx, each) for each in sorted(kept, key=lambda each: (each.tenant_id, each.what))]


def _add(tx: Tx, more: Usage) -> Usage:
    tx.lock(f"usage:{more.tenant_id}:{more.what}")
    found = tx.find(Usage, more.tenant_id, what=more.what, since=more.since)
    if found is not None:
        total = replace(found, amount=max(0, found.amount + more.amount))
        tx.change(total)
        return total
    for past in tx.select(Usage, more.tenant_id, Is("what", more.what), Before("since", more.since)):
        tx.remove(Usage, more.tenant_id, what=past.what, since=past.since)
    tx.add(more)
    return more
