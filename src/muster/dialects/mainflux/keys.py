"""API keys (spec B.1)."""

from litestar import delete, get, post

from muster.core import keys
from muster.core.access import Caller
from muster.core.errors import Malformed
from muster.core.model import ApiKey, Instant, Secret, User
from muster.core.ports import Tx
from muster.dialects.mainflux import wire
from muster.dialects.mainflux.options import Options
from muster.dialects.mainflux.users import LOGIN, mint
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.wire import rfc3339

API_KEY = 2
LONGEST = 100 * 365 * 24 * 3600
"""Seconds."""


class NewKey(wire.In, kw_only=True):
    """A key to be made. *duration* in seconds; none: for ever."""

    type: int | None = None
    duration: int | None = None


class IssuedKey(wire.Out, kw_only=True):
    """A key, shown once. A login token has no id: it is not kept."""

    id: str = ""
    value: str
    issued_at: str
    expires_at: str = ""


class Key(wire.Out, kw_only=True):
    """What is known of a key."""

    id: str
    type: int
    issuer_id: str
    subject: str
    issued_at: str
    expires_at: str = ""


@post("/keys", operation_id="createKey", status_code=201)
async def create_key(request: AnyRequest, data: NewKey, desk: Desk, options: Options) -> Rendered[IssuedKey]:
    """Make an API key (type 2); it does everything its user may do, for the time it has. Type 0: a token."""
    lifetime = data.duration or 0
    if data.type not in (LOGIN, API_KEY):
        raise Malformed("invalid key type")
    if not 0 <= lifetime <= LONGEST:
        raise Malformed("invalid duration")
    if data.type == LOGIN:
        return await _login(request, desk, min(lifetime or options.token_lifetime, options.token_lifetime))

    def issued(made: tuple[ApiKey, Secret]) -> Reply:
        key, secret = made
        body = IssuedKey(
            id=key.id, value=secret.reveal(), issued_at=rfc3339(key.issued_at), expires_at=_expiry(key)
        )
        return Reply(status=201, body=body)

    return await desk.run(request, keys.create_key, lifetime=lifetime, kind=API_KEY, reply=issued)


async def _login(request: AnyRequest, desk: Desk, lifetime: int) -> Rendered[IssuedKey]:
    """Give the caller another token, as a password does; whoever has but a key gets none."""

    def issued(user: User) -> Reply:
        now = desk.clock()
        body = IssuedKey(
            value=mint(desk, user, LOGIN, lifetime),
            issued_at=rfc3339(now),
            expires_at=rfc3339(Instant(now + lifetime * 1_000_000)),
        )
        return Reply(status=201, body=body)

    return await desk.run(request, _by_token, reply=issued)


def _by_token(_: Tx, caller: Caller) -> User:
    keys.by_token(caller)
    return caller.user


def _expiry(key: ApiKey) -> str:
    return rfc3339(key.expires_at) if key.expires_at else ""


def _seen(tx: Tx, caller: Caller, key_id: str) -> Key:
    key = keys.get_key(tx, caller, key_id, is_personal=False)
    return Key(
        id=key.id,
        type=API_KEY,
        issuer_id=key.user_id,
        subject=caller.user.email,
        issued_at=rfc3339(key.issued_at),
        expires_at=_expiry(key),
    )


@get("/keys/{key_id:str}", operation_id="getKey")
async def get_key(request: AnyRequest, key_id: str, desk: Desk) -> Rendered[Key]:
    """Show one of the caller's keys, without its value."""
    return await desk.read(request, _seen, key_id, reply=lambda key: Reply(body=key))


@delete("/keys/{key_id:str}", operation_id="deleteKey", status_code=204)
async def delete_key(request: AnyRequest, key_id: str, desk: Desk) -> Rendered[None]:
    """End one of the caller's keys."""
    return await desk.run(
        request, keys.delete_key, key_id, is_personal=False, reply=lambda _: wire.empty(204)
    )


HANDLERS = [create_key, get_key, delete_key]
