"""Webhooks: where a tenant wants to be told what becomes of its devices, and what is still to be told.

A notice is written in the transaction it tells of, like an event of the outbox, but into a lane of its
tenant's own: a receiver that does not answer holds up nobody else.
"""

import ipaddress
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import urlsplit

from muster.core import access
from muster.core.access import Caller, record
from muster.core.errors import Malformed, NotFound
from muster.core.model import NEVER, Instant, Json, Secret, Tenant, TenantId
from muster.core.ports import ANYWHERE, Due, OneOf, Order, Tx, Window

GIVE_UP = 24 * 3_600_000_000
"""Microseconds after which a notice nobody took is dropped."""
FIRST_WAIT, LONGEST_WAIT = 1_000_000, 600_000_000
"""Microseconds before the next try: doubled with each failure in a row."""
OVERLAP = 24 * 3_600_000_000
"""Microseconds for which a replaced secret still signs, next to the new one."""
WINDOW = 256
"""How many of a tenant's notices are looked at together."""
LONGEST_URL = 2048
_MARK = "webhook"


class Topic(StrEnum):
    """What can be told."""

    PROVISIONED = "device.provisioned"
    """A device provisioned itself, by its certificate or through a gateway."""
    CREATED = "device.created"
    """Somebody created it, through any door."""
    UPDATED = "device.updated"
    """It was changed, enabled or disabled."""
    DELETED = "device.deleted"
    CREDENTIALS = "credentials.updated"
    EMPTIED = "tenant.emptied"
    """All devices of the tenant were deleted at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where a tenant's notices go, and how that has been going."""

    tenant_id: TenantId
    url: str
    topics: tuple[str, ...]
    secret: Secret
    """`whsec_` and Base64 of 32 random bytes (Standard Webhooks)."""
    former_secret: Secret | None = None
    former_until: Instant = NEVER
    """Until when the former secret signs as well."""
    is_enabled: bool = True
    """False once the receiver answered 410 Gone; whoever sets the webhook again enables it."""
    failures: int = 0
    """In a row."""
    failing_since: Instant = NEVER
    next_at: Instant = NEVER
    """Before that, nothing is tried."""
    delivered_at: Instant = NEVER
    last_error: str = ""
    lost: int = 0
    """How many notices were given up."""
    revision: int = 0
    """Counts what people change; what became of a call of an older one is not held against this one."""
    created_by: str = ""
    created_at: Instant
    updated_at: Instant = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the tenant's webhook has still to be told. The id is the same in every try."""

    tenant_id: TenantId
    id: str
    topic: str
    key: str
    """What the order is kept for: the device's id."""
    data: Json = None
    attempts: int = 0
    next_at: Instant = NEVER
    created_at: Instant


# --- telling ------------------------------------------------------------------------------------------


def notices(tx: Tx, tenant: Tenant, topic: Topic, ids: Iterable[str], data: Json = None) -> list[Notice]:
    """Give what is to be told of these devices, to be added with what it tells of; nothing if nobody asks."""
    if topic not in tenant.extensions.get(_MARK, ()):
        return []
    return [
        Notice(
            tenant_id=tenant.id,
            id=f"msg_{tx.new_id()}",
            topic=topic,
            key=each,
            data=data,
            created_at=tx.now,
        )
        for each in ids
    ]


def tell(tx: Tx, tenant_id: TenantId, topic: Topic, ids: Iterable[str], data: Json = None) -> None:
    """Have it told, where the tenant's row is not at hand."""
    tenant = tx.get(Tenant, ANYWHERE, tenant_id)
    told = notices(tx, tenant, topic, ids, data) if tenant is not None else []
    if told:
        tx.add(*told)


# --- setting up ---------------------------------------------------------------------------------------


def check_url(url: str, *, allows_private: bool) -> str:
    """Give the URL, or Malformed with what is wrong. A name's addresses are judged when it is called."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise Malformed("the url cannot be read") from None
    schemes = ("https", "http") if allows_private else ("https",)
    if parts.scheme not in schemes:
        raise Malformed(f"the url must begin with {' or '.join(f'{each}://' for each in schemes)}")
    if not host or "@" in parts.netloc or parts.fragment or len(url) > LONGEST_URL:
        raise Malformed("the url needs a host, and no user, password or fragment")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise Malformed("the url must be printable ASCII")
    if not allows_private and _is_private_literal(host):
        raise Malformed("the url's address is not a public one")
    return url


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(ipaddress.ip_address(host))
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Say whether it is an address of the public internet, also where IPv6 wraps one of IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _wrapped(address)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo is not None else None)


def set_webhook(
    tx: Tx, caller: Caller, tenant_id: TenantId, url: str, topics: Sequence[Topic]
) -> tuple[Webhook, bool]:
    """Have the tenant's notices sent there from now on (the bool: it is new, and so is its secret)."""
    standing = access.enter(tx, caller, tenant_id)
    standing.require("update")
    had = tx.find(Webhook, tenant_id)
    named = tuple(dict.fromkeys(topic.value for topic in topics))
    if had is None:
        made = Webhook(
            tenant_id=tenant_id,
            url=url,
            topics=named,
            secret=_new_secret(tx),
            created_by=caller.id,
            created_at=tx.now,
        )
        tx.add(made)
    else:
        made = replace(had, url=url, topics=named, is_enabled=True, revision=had.revision + 1)
        made = replace(made, failures=0, failing_since=NEVER, next_at=NEVER, last_error="", updated_at=tx.now)
        tx.change(made)
    _mark(tx, standing.tenant, named)
    record(tx, caller, tenant_id, "tenant.webhook", [tenant_id], {"topics": list(named)})
    return made, had is None


def _new_secret(tx: Tx) -> Secret:
    token = tx.new_token()
    random = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return Secret("whsec_" + b64encode(random).decode())


def _mark(tx: Tx, tenant: Tenant, topics: Sequence[str]) -> None:
    """Keep with the tenant, which every use case reads anyway, what is asked for."""
    others = {name: value for name, value in tenant.extensions.items() if name != _MARK}
    wanted = {**others, _MARK: list(topics)} if topics else others
    if wanted != tenant.extensions:
        tx.change(replace(tenant, extensions=wanted))


def get_webhook(tx: Tx, caller: Caller, tenant_id: TenantId) -> tuple[Webhook, int]:
    """Give the tenant's webhook, and how many notices wait. NotFound when it has none."""
    access.enter(tx, caller, tenant_id).require("update")
    return _held(tx, tenant_id), tx.count(Notice, tenant_id)


def _held(tx: Tx, tenant_id: TenantId) -> Webhook:
    held = tx.find(Webhook, tenant_id)
    if held is None:
        raise NotFound("the tenant has no webhook")
    return held


def renew_secret(tx: Tx, caller: Caller, tenant_id: TenantId) -> Webhook:
    """Give the webhook another secret. The one before signs as well for OVERLAP."""
    access.enter(tx, caller, tenant_id).require("update")
    held = _held(tx, tenant_id)
    until = Instant(tx.now + OVERLAP)
    changed = replace(held, secret=_new_secret(tx), former_secret=held.secret, former_until=until)
    tx.change(replace(changed, revision=held.revision + 1, updated_at=tx.now))
    record(tx, caller, tenant_id, "tenant.webhook_secret", [tenant_id])
    return changed


def remove_webhook(tx: Tx, caller: Caller, tenant_id: TenantId) -> None:
    """Tell nobody any more; what waits is dropped. NotFound when the tenant has no webhook."""
    standing = access.enter(tx, caller, tenant_id)
    standing.require("update")
    _held(tx, tenant_id)
    tx.remove(Notice, tenant_id)
    tx.remove(Webhook, tenant_id)
    _mark(tx, standing.tenant, ())
    record(tx, caller, tenant_id, "tenant.webhook_delete", [tenant_id])


# --- delivery -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What of a tenant is to be told now."""

    webhook: Webhook
    stale: tuple[Notice, ...]
    """Nobody took them in GIVE_UP: to be dropped."""
    ready: tuple[tuple[Notice, ...], ...]
    """By device, each in order; only one notice while the receiver fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What became of it."""

    delivered: tuple[Notice, ...] = ()
    failed: tuple[tuple[Notice, str], ...] = ()
    """With the reason."""
    is_gone: bool = False
    """The receiver does not want to be called any more: 410."""


def due(tx: Tx) -> list[TenantId]:
    """Name the tenants whose webhook is to be called now."""
    return [each.tenant_id for each in tx.select(Webhook, ANYWHERE, Due(tx.now))]


def lane(tx: Tx, tenant_id: TenantId) -> Lane | None:
    """Give what a tenant is to be told now; None when there is nothing to do."""
    held = tx.find(Webhook, tenant_id)
    if held is None or not held.is_enabled or held.next_at > tx.now:
        return None
    waiting = tx.select(Notice, tenant_id, order=Order("created_at"), window=Window(limit=WINDOW))
    stale = tuple(each for each in waiting if each.created_at + GIVE_UP <= tx.now)
    by_key: dict[str, list[Notice]] = {}
    for each in waiting[len(stale) :]:
        by_key.setdefault(each.key, []).append(each)
    # What waits for another try holds back the later notices of its device.
    ready = [tuple(each) for each in by_key.values() if each[0].next_at <= tx.now]
    if held.failures and ready:
        ready = [(min((each[0] for each in ready), key=lambda first: first.attempts),)]
    if not (stale or ready):
        return None
    return Lane(webhook=held, stale=stale, ready=tuple(ready))


def settle(tx: Tx, tried: Lane, done: Round) -> Webhook | None:
    """Note what became of a lane; give the webhook as it is now, None if it is gone."""
    tenant_id = tried.webhook.tenant_id
    over = [each.id for each in (*done.delivered, *tried.stale)]
    if over:
        tx.remove(Notice, tenant_id, id=over)
    for failed, _ in _still_there(tx, tenant_id, done.failed):
        attempts = failed.attempts + 1
        tx.change(replace(failed, attempts=attempts, next_at=Instant(tx.now + wait(attempts))))
    held = tx.find(Webhook, tenant_id)
    if held is None:
        return None
    changed = replace(held, lost=held.lost + len(tried.stale))
    if held.revision == tried.webhook.revision:
        changed = _judged(changed, done, tx.now)
    if held.is_enabled and not changed.is_enabled:
        changed = replace(changed, lost=changed.lost + _silence(tx, tenant_id))
    tx.change(changed)
    return changed


def _silence(tx: Tx, tenant_id: TenantId) -> int:
    """Tell nothing more until the webhook is set again; say how many notices are dropped."""
    tenant = tx.get(Tenant, ANYWHERE, tenant_id)
    if tenant is not None:
        _mark(tx, tenant, ())
    return tx.remove(Notice, tenant_id)


def _still_there(
    tx: Tx, tenant_id: TenantId, failed: Sequence[tuple[Notice, str]]
) -> list[tuple[Notice, str]]:
    if not failed:
        return []
    found = tx.select(Notice, tenant_id, OneOf("id", [notice.id for notice, _ in failed]))
    there = {each.id for each in found}
    return [pair for pair in failed if pair[0].id in there]


def _judged(held: Webhook, done: Round, now: Instant) -> Webhook:
    error = done.failed[0][1] if done.failed else ""
    if done.is_gone:
        return replace(held, is_enabled=False, last_error=error, failing_since=held.failing_since or now)
    if done.delivered:
        fine = replace(held, failures=0, failing_since=NEVER, next_at=NEVER, delivered_at=now)
        return replace(fine, last_error=error)
    if not done.failed:
        return held
    failures = held.failures + 1
    return replace(
        held,
        failures=failures,
        failing_since=held.failing_since or now,
        next_at=Instant(now + wait(failures)),
        last_error=error,
    )


def wait(failures: int) -> int:
    """Give the microseconds until the next try after so many failures in a row."""
    return int(min(FIRST_WAIT << min(failures - 1, 16), LONGEST_WAIT))
