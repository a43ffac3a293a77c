"""API keys and personal access tokens: secrets that users hand to their programs."""

from collections.abc import Callable
from dataclasses import replace

from muster.core.access import KEY_DIGEST, Caller, record
from muster.core.errors import NotFound, Unauthenticated
from muster.core.model import NEVER, ApiKey, Instant, Json, KeyId, Secret
from muster.core.ports import ANYWHERE, Is, Order, Page, Tx, Window
from muster.core.users import NO_TENANT

API_KEY_PREFIX = "mk_"
PERSONAL_PREFIX = "pat_"


class KeyRefused(Unauthenticated):
    """Keys are managed with a token of the user, not with another key."""


def create_key(
    tx: Tx,
    caller: Caller,
    *,
    lifetime: int,
    kind: int = 0,
    name: str = "",
    description: str = "",
    is_personal: bool = False,
    scope: Json = None,
) -> tuple[ApiKey, Secret]:
    """Make a key of *lifetime* seconds (0: for ever). The secret is given here and never again.

    KeyRefused for a caller who came with a key: whoever finds one must not make more of it.
    """
    by_token(caller)
    plain = (PERSONAL_PREFIX if is_personal else API_KEY_PREFIX) + tx.new_token()
    key = ApiKey(
        id=KeyId(tx.new_id()),
        user_id=caller.id,
        digest=tx.digest(KEY_DIGEST, plain),
        name=name,
        description=description,
        is_personal=is_personal,
        scope=scope,
        kind=kind,
        issued_at=tx.now,
        expires_at=_after(tx.now, lifetime),
    )
    tx.add(key)
    record(tx, caller, NO_TENANT, "key.create", [key.id])
    return key, Secret(plain)


def _after(now: Instant, lifetime: int) -> Instant:
    return Instant(now + lifetime * 1_000_000) if lifetime else NEVER


def by_token(caller: Caller) -> None:
    """Raise KeyRefused for a caller who came with a key."""
    if caller.key is not None:
        raise KeyRefused


def get_key(tx: Tx, caller: Caller, key_id: str, *, is_personal: bool) -> ApiKey:
    """Give one of the caller's keys; NotFound else."""
    by_token(caller)
    key = tx.get(ApiKey, ANYWHERE, key_id)
    if key is None or key.user_id != caller.id or key.is_personal is not is_personal:
        raise NotFound
    return key


def list_keys(tx: Tx, caller: Caller, *, is_personal: bool, window: Window) -> Page[ApiKey]:
    """List the caller's keys."""
    by_token(caller)
    own = (Is("user_id", caller.id), Is("is_personal", is_personal))
    return tx.page(ApiKey, ANYWHERE, *own, order=Order("issued_at"), window=window)


def update_key(
    tx: Tx, caller: Caller, key_id: str, change: Callable[[ApiKey], ApiKey], *, verb: str = "update"
) -> ApiKey:
    """Change a personal access token's name, description or scope."""
    changed = replace(change(get_key(tx, caller, key_id, is_personal=True)), updated_at=tx.now)
    tx.change(changed)
    record(tx, caller, NO_TENANT, f"key.{verb}", [key_id])
    return changed


def reset_key(tx: Tx, caller: Caller, key_id: str, *, lifetime: int) -> tuple[ApiKey, Secret]:
    """Give a personal access token a new secret and lifetime; the old secret ends."""
    plain = PERSONAL_PREFIX + tx.new_token()
    digest = tx.digest(KEY_DIGEST, plain)

    def renewed(key: ApiKey) -> ApiKey:
        expires = _after(tx.now, lifetime)
        return replace(key, digest=digest, expires_at=expires, revoked_at=NEVER)

    return update_key(tx, caller, key_id, renewed, verb="reset"), Secret(plain)


def revoke_key(tx: Tx, caller: Caller, key_id: str) -> ApiKey:
    """End a personal access token's secret; it stays listed and can be reset."""
    return update_key(tx, caller, key_id, lambda key: replace(key, revoked_at=tx.now), verb="revoke")


def delete_key(tx: Tx, caller: Caller, key_id: str, *, is_personal: bool) -> None:
    """Delete one of the caller's keys; it ends at once."""
    key = get_key(tx, caller, key_id, is_personal=is_personal)
    tx.remove(ApiKey, ANYWHERE, id=key.id)
    record(tx, caller, NO_TENANT, "key.delete", [key_id])


def delete_keys(tx: Tx, caller: Caller, *, is_personal: bool) -> int:
    """Delete all of the caller's keys of that sort; say how many."""
    by_token(caller)
    own = (Is("user_id", caller.id), Is("is_personal", is_personal))
    ids = [key.id for key in tx.select(ApiKey, ANYWHERE, *own)]
    tx.remove(ApiKey, ANYWHERE, id=ids)
    record(tx, caller, NO_TENANT, "key.delete", ids)
    return len(ids)
