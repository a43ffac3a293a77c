"""API keys and personal access tokens (spec A.7)."""

from collections.abc import Callable
from dataclasses import replace

from litestar import delete, get, patch, post

from muster.core import keys
from muster.core.access import Caller
from muster.core.errors import Malformed
from muster.core.model import ApiKey, Instant, Json, Secret
from muster.core.names import check_name
from muster.core.ports import Page, Tx
from muster.dialects.magistrala import queries, wire
from muster.dialects.magistrala.options import Options
from muster.dialects.magistrala.users import ACCESS, RECOVERY, mint
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.wire import rfc3339, seconds, window

API_KEY = 3
LONGEST = 100 * 365 * 24 * 3600
"""Seconds a key may last."""
DEFAULT_LIFETIME = 30 * 24 * 3600
MOST_ENTRIES = 1000
"""Of one token's scope."""


def _nothing(_: object) -> Reply:
    return Reply(status=204)


# --- keys ------------------------------------------------------------------------------------------------


@post("/keys", operation_id="createKey", status_code=201)
async def issue_key(
    request: AnyRequest, data: wire.NewKey, desk: Desk, options: Options
) -> Rendered[wire.KeyIssued]:
    """Issue an API key, or a fresh access or recovery token for the caller."""
    if data.type == API_KEY:
        if not 0 <= data.duration <= LONGEST:
            raise Malformed("invalid duration")
        return await desk.run(request, keys.create_key, lifetime=data.duration, kind=API_KEY, reply=_issued)
    lifetimes = {ACCESS: options.access_lifetime, RECOVERY: options.recovery_lifetime}
    if data.type not in lifetimes:
        raise Malformed("invalid api key type")
    lifetime = lifetimes[data.type]

    def minted(tx: Tx, caller: Caller) -> wire.KeyIssued:
        keys.by_token(caller)
        ends = Instant(tx.now + lifetime * 1_000_000)
        value = mint(desk, caller.user, data.type, lifetime)
        return wire.KeyIssued(value=value, issued_at=rfc3339(tx.now), expires_at=rfc3339(ends))

    return await desk.read(request, minted, reply=lambda body: Reply(status=201, body=body))


def _issued(made: tuple[ApiKey, Secret]) -> Reply:
    key, secret = made
    body = wire.KeyIssued(
        id=key.id,
        value=secret.reveal(),
        issued_at=rfc3339(key.issued_at),
        expires_at=wire.at(key.expires_at),
    )
    return Reply(status=201, body=body)


@get("/keys/{key_id:str}", operation_id="getKey")
async def get_key(request: AnyRequest, key_id: str, desk: Desk) -> Rendered[wire.KeyOut]:
    """Show one of the caller's API keys, without its value."""
    return await desk.read(
        request, keys.get_key, key_id, is_personal=False, reply=lambda found: Reply(body=wire.key(found))
    )


@delete("/keys/{key_id:str}", operation_id="revokeKey", status_code=204)
async def delete_key(request: AnyRequest, key_id: str, desk: Desk) -> Rendered[None]:
    """End an API key."""
    return await desk.run(request, keys.delete_key, key_id, is_personal=False, reply=_nothing)


# --- personal access tokens ------------------------------------------------------------------------------


def _name(name: str | None) -> str:
    if not name:
        raise Malformed("missing identity name")
    return check_name(name)


def _lifetime(duration: str | None) -> int:
    lifetime = seconds(duration) if duration else DEFAULT_LIFETIME
    if not 0 < lifetime <= LONGEST:
        raise Malformed("invalid duration")
    return lifetime


def _checked(scope: list[Json]) -> list[Json]:
    if len(scope) > MOST_ENTRIES:
        raise Malformed(f"a scope has at most {MOST_ENTRIES} entries")
    return scope


def _made(status: int) -> Callable[[tuple[ApiKey, Secret]], Reply]:
    return lambda made: Reply(status=status, body=wire.pat(*made))


@post("/pats", operation_id="createPat", status_code=201)
async def create_pat(request: AnyRequest, data: wire.NewPat, desk: Desk) -> Rendered[wire.PatOut]:
    """Make a token; it is good for nothing but what its scope lists."""
    return await desk.run(
        request,
        keys.create_key,
        lifetime=_lifetime(data.duration),
        name=_name(data.name),
        description=data.description or "",
        is_personal=True,
        scope=_checked(wire.scope_in(data.scope or ())),
        reply=_made(201),
    )


@get("/pats", operation_id="listPats", opt={"query": queries.PAGE})
async def list_pats(request: AnyRequest, desk: Desk) -> Rendered[wire.PatPage]:
    """List the caller's tokens."""
    asked = window(request)

    def shown(page: Page[ApiKey]) -> Reply:
        pats = [wire.pat(key) for key in page.items]
        body = wire.PatPage(total=page.total, offset=asked.offset, limit=asked.limit or 0, pats=pats)
        return Reply(body=body)

    return await desk.read(request, keys.list_keys, is_personal=True, window=asked, reply=shown)


@delete("/pats", operation_id="deletePats", status_code=204)
async def delete_pats(request: AnyRequest, desk: Desk) -> Rendered[None]:
    """Delete all of the caller's tokens."""
    return await desk.run(request, keys.delete_keys, is_personal=True, reply=_nothing)


@get("/pats/{pat_id:str}", operation_id="getPat")
async def get_pat(request: AnyRequest, pat_id: str, desk: Desk) -> Rendered[wire.PatOut]:
    """Show a token, without its secret."""
    return await desk.read(request, keys.get_key, pat_id, is_personal=True, reply=_shown())


def _shown(status: int = 200) -> Callable[[ApiKey], Reply]:
    return lambda key: Reply(status=status, body=wire.pat(key))


async def _update(
    request: AnyRequest, desk: Desk, pat_id: str, change: Callable[[ApiKey], ApiKey], *, status: int
) -> Rendered[wire.PatOut]:
    return await desk.run(request, keys.update_key, pat_id, change, reply=_shown(status))


@patch("/pats/{pat_id:str}/name", operation_id="updatePatName", status_code=202)
async def update_name(
    request: AnyRequest, pat_id: str, data: wire.PatName, desk: Desk
) -> Rendered[wire.PatOut]:
    """Rename a token."""
    name = _name(data.name)
    return await _update(request, desk, pat_id, lambda key: replace(key, name=name), status=202)


@patch("/pats/{pat_id:str}/description", operation_id="updatePatDescription", status_code=202)
async def update_description(
    request: AnyRequest, pat_id: str, data: wire.PatDescription, desk: Desk
) -> Rendered[wire.PatOut]:
    """Describe a token anew."""
    if not data.description:
        raise Malformed("missing description")
    said = data.description
    return await _update(request, desk, pat_id, lambda key: replace(key, description=said), status=202)


@patch("/pats/{pat_id:str}/secret/reset", operation_id="resetPat")
async def reset_secret(
    request: AnyRequest, pat_id: str, data: wire.PatLifetime, desk: Desk
) -> Rendered[wire.PatOut]:
    """Give a token another secret and lifetime; the old secret ends."""
    lifetime = _lifetime(data.duration)
    return await desk.run(request, keys.reset_key, pat_id, lifetime=lifetime, reply=_made(200))


@patch("/pats/{pat_id:str}/secret/revoke", operation_id="revokePat", status_code=204)
async def revoke_secret(request: AnyRequest, pat_id: str, desk: Desk) -> Rendered[None]:
    """End a token's secret; the token stays, and can be given another."""
    return await desk.run(request, keys.revoke_key, pat_id, reply=_nothing)


@delete("/pats/{pat_id:str}", operation_id="deletePat", status_code=204)
async def delete_pat(request: AnyRequest, pat_id: str, desk: Desk) -> Rendered[None]:
    """Delete a token."""
    return await desk.run(request, keys.delete_key, pat_id, is_personal=True, reply=_nothing)


# --- their scopes ----------------------------------------------------------------------------------------


@get("/pats/{pat_id:str}/scopes", operation_id="listPatScopes", opt={"query": queries.PAGE})
async def list_scopes(request: AnyRequest, pat_id: str, desk: Desk) -> Rendered[wire.ScopePage]:
    """List what a token is good for."""
    asked = window(request)

    def shown(key: ApiKey) -> Reply:
        listed = wire.scope(key)
        body = wire.ScopePage(
            total=len(listed), offset=asked.offset, limit=asked.limit or 0, scopes=list(asked.of(listed))
        )
        return Reply(body=body)

    return await desk.read(request, keys.get_key, pat_id, is_personal=True, reply=shown)


@patch("/pats/{pat_id:str}/scope/add", operation_id="addPatScope")
async def add_scope(
    request: AnyRequest, pat_id: str, data: wire.ScopeChange, desk: Desk
) -> Rendered[wire.PatOut]:
    """Let a token do more."""
    added = wire.scope_changed(data)
    if not added:
        raise Malformed("empty list provided")

    def change(key: ApiKey) -> ApiKey:
        fresh = [entry for entry in added if entry not in (key.scope or [])]
        return replace(key, scope=_checked([*(key.scope or []), *fresh]))

    return await _update(request, desk, pat_id, change, status=200)


@patch("/pats/{pat_id:str}/scope/remove", operation_id="removePatScope")
async def remove_scope(
    request: AnyRequest, pat_id: str, data: wire.ScopeChange, desk: Desk
) -> Rendered[wire.PatOut]:
    """Let a token do less."""
    dropped, ids = wire.scope_changed(data), set(data.scopes_id or ())
    if not dropped and not ids:
        raise Malformed("empty list provided")

    def change(key: ApiKey) -> ApiKey:
        kept = [e for e in key.scope or [] if e not in dropped and wire.scope_id(key.id, e) not in ids]
        return replace(key, scope=kept)

    return await _update(request, desk, pat_id, change, status=200)


@delete("/pats/{pat_id:str}/scope", operation_id="clearPatScope", status_code=200)
async def clear_scope(request: AnyRequest, pat_id: str, desk: Desk) -> Rendered[wire.PatOut]:
    """Let a token do nothing any more."""
    return await _update(request, desk, pat_id, lambda key: replace(key, scope=[]), status=200)


HANDLERS = [
    issue_key,
    get_key,
    delete_key,
    create_pat,
    list_pats,
    delete_pats,
    get_pat,
    update_name,
    update_description,
    reset_secret,
    revoke_secret,
    delete_pat,
    list_scopes,
    add_scope,
    remove_scope,
    clear_scope,
]
