"""Users, their tokens and passwords (spec B.1)."""

import re
from dataclasses import replace

from litestar import get, patch, post, put

from muster.core import users
from muster.core.access import Caller, authenticate
from muster.core.errors import Malformed, NotFound, Unauthenticated, Unavailable
from muster.core.model import Status, User
from muster.core.ports import Condition, Contains, Has, Order, Page, Tx, Window
from muster.dialects.mainflux import queries, wire
from muster.dialects.mainflux.options import Options
from muster.web import auth
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.mail import Mail
from muster.web.passwords import ask_for_recovery, renew
from muster.web.wire import document, text, window

ISSUER = "mainflux.auth"
LOGIN, RECOVERY = 0, 2
"""Upstream's recovery is 1, which is a refresh token in the other dialect; both doors take a 2."""
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@\s\x00-\x1f\x7f-\x9f]{1,255}")


def mint(desk: Desk, user: User, kind: int, lifetime: int) -> str:
    """Sign a token with upstream's claims (spec B.0), and the epoch that ends it early."""
    now = desk.clock() // 1_000_000
    claims = {"exp": now + lifetime, "iat": now, "iss": ISSUER, "sub": user.email, "issuer_id": user.id}
    return desk.tokens.mint({**claims, "type": kind, "epoch": user.epoch})


def _source(request: AnyRequest) -> str:
    return request.client.host if request.client else ""


# --- becoming a user -----------------------------------------------------------------------------------


@post("/users", operation_id="createUser", status_code=201, opt={"public": True})
async def create_user(
    request: AnyRequest, data: wire.NewUser, desk: Desk, options: Options
) -> Rendered[None]:
    """Create a user: anyone where self-registration is on, admins always."""
    email, plain = _email(data.email), _password(data.password, options)
    verifier = await desk.passwords.hash(plain)
    draft = users.NewUser(email=email, password=verifier, metadata=options.metadata(data.metadata))
    free = options.self_register
    if auth.has_token(request):
        return await desk.run(request, users.create_user, draft, self_register=free, reply=_created)
    return await desk.run_open(request, users.create_user, None, draft, self_register=free, reply=_created)


def _created(user: User) -> Reply:
    return wire.empty(201, Location=f"/users/{user.id}")


def _email(email: str | None) -> str:
    if not email or not _EMAIL.fullmatch(email):
        raise Malformed("invalid email")
    return email.lower()


def _password(plain: str | None, options: Options) -> str:
    if not plain or not options.password.fullmatch(plain) or len(plain.encode()) > 1024:
        raise Malformed("password does not meet the requirements")
    return plain


# --- tokens and passwords ------------------------------------------------------------------------------


@post("/tokens", operation_id="createToken", status_code=201, opt={"public": True})
async def create_token(
    request: AnyRequest, data: wire.Login, desk: Desk, options: Options
) -> Rendered[wire.Token]:
    """Exchange email and password for a token."""
    if not data.email or not data.password:
        raise Malformed
    user = await desk.store.read(users.find_login, data.email)
    await _verify(request, desk, options, user, data.email, data.password)
    if user is None or user.status is not Status.ENABLED:
        raise Unauthenticated
    await renew(desk.store, desk.passwords, user, data.password)
    token = mint(desk, user, LOGIN, options.token_lifetime)
    return desk.answer(Reply(status=201, body=wire.Token(token=token)))


async def _verify(
    request: AnyRequest, desk: Desk, options: Options, user: User | None, name: str, plain: str
) -> None:
    """Raise Unauthenticated for a wrong password; guessing is slowed down per name and source."""
    key = ("login", name.lower(), _source(request))
    options.throttle.check(key, desk.clock())
    if not await desk.passwords.verify(user.password if user is not None else None, plain):
        options.throttle.failed(key, desk.clock())
        raise Unauthenticated


@patch("/password", operation_id="updatePassword", status_code=201)
async def update_password(
    request: AnyRequest, data: wire.PasswordChange, desk: Desk, options: Options
) -> Rendered[None]:
    """Change the caller's password; all of the caller's tokens end."""
    fresh = await desk.passwords.hash(_password(data.password, options))
    evidence = auth.evidence(request, desk.tokens, desk.clock)
    user = (await desk.store.read(authenticate, evidence)).user
    await _verify(request, desk, options, user, user.email, data.old_password or "")
    return await desk.run(
        request, users.set_password, old=user.password, new=fresh, reply=lambda _: wire.empty(201)
    )


@post("/password/reset-request", operation_id="requestPasswordReset", status_code=201, opt={"public": True})
async def request_reset(
    request: AnyRequest, data: wire.Email, desk: Desk, options: Options
) -> Rendered[wire.Message]:
    """Send a recovery token to the email of a user; the answer does not tell whether there is one."""
    email, source = _email(data.email), ("recovery", _source(request))
    if not options.sends_mail:
        raise Unavailable("this installation sends no email: ask its administrator for a new password")
    options.recoveries.check(source, desk.clock())
    options.recoveries.failed(source, desk.clock())
    await ask_for_recovery(desk, options.recoveries, email, door="mainflux")
    return desk.answer(Reply(status=201, body=wire.Message(msg="Email with reset link is sent")))


_MAIL = """\
Somebody, hopefully you, asked for a new password for {email}.

To set one, send within {minutes} minutes
  PUT {where}/password/reset
with the JSON body
  {{"token": "{token}", "password": "…", "confirm_password": "…"}}

If it was not you, do nothing: the password stays as it is.
"""


def letter(desk: Desk, user: User, *, lifetime: int, where: str) -> Mail:
    """Write to a user who forgot the password, with a token that is made now and lives so many seconds."""
    token, minutes = mint(desk, user, RECOVERY, lifetime), lifetime // 60
    text = _MAIL.format(email=user.email, minutes=minutes, where=where, token=token)
    return Mail(to=user.email, subject="A new password", text=text)


@put("/password/reset", operation_id="resetPassword", status_code=201, opt={"public": True})
async def reset_password(
    request: AnyRequest, data: wire.Reset, desk: Desk, options: Options
) -> Rendered[None]:
    """Set a new password with a recovery token, which is good for one use."""
    claims = desk.tokens.verify(data.token or "", desk.clock() // 1_000_000)
    known = auth.of_claims(claims, frozenset({RECOVERY}))
    plain = _password(data.password, options)
    if plain != data.confirm_password:
        raise Malformed("passwords do not match")
    fresh = await desk.passwords.hash(plain)
    return await desk.run_open(
        request,
        users.reset_password,
        known.user_id,
        known.epoch,
        new=fresh,
        reply=lambda _: wire.empty(201),
    )


# --- reading and change --------------------------------------------------------------------------------


def _shown(user: User) -> Reply:
    return Reply(body=wire.user(user))


@get("/users/profile", operation_id="getProfile")
async def get_profile(request: AnyRequest, desk: Desk) -> Rendered[wire.UserOut]:
    """Show the caller."""
    return await desk.read(request, users.get_self, reply=_shown)


def _seen(tx: Tx, caller: Caller, user_id: str) -> User:
    if user_id != caller.id and not caller.is_admin:
        raise NotFound
    return users.get_user(tx, caller, user_id)


@get("/users/{user_id:str}", operation_id="getUser")
async def get_user(request: AnyRequest, user_id: str, desk: Desk) -> Rendered[wire.UserOut]:
    """Show a user to itself and to admins."""
    return await desk.read(request, _seen, user_id, reply=_shown)


def _listed(tx: Tx, caller: Caller, conditions: list[Condition], part: Window) -> Page[User]:
    if caller.is_admin:
        return users.list_users(tx, caller, *conditions, order=Order(), window=part)
    own = [users.get_self(tx, caller)] if not conditions and not part.offset else []
    return Page(own, 1 if not conditions else 0)


_QUERY = {**queries.PAGE, "email": None, "metadata": queries.DOCUMENT}


@get("/users", operation_id="listUsers", opt={"query": _QUERY})
async def list_users(request: AnyRequest, desk: Desk) -> Rendered[wire.UserPage]:
    """List users to admins; to others themselves alone."""
    part = window(request, queries.LIST)
    email, metadata = text(request, "email"), document(request, "metadata")
    conditions: list[Condition] = [Has("email", email)] if email else []
    if metadata:
        conditions.append(Contains("metadata", metadata))

    def answer(page: Page[User]) -> Reply:
        users = [wire.user(u) for u in page.items]
        limit = part.limit or 0
        return Reply(body=wire.UserPage(total=page.total, offset=part.offset, limit=limit, users=users))

    return await desk.read(request, _listed, conditions, part, reply=answer)


def _changed(tx: Tx, caller: Caller, metadata: wire.Metadata) -> User:
    return users.update_user(tx, caller, caller.id, lambda user: replace(user, metadata=metadata))


# Upstream's Python SDK sends this body without a content type.
@put("/users", operation_id="updateUser", opt={"content_type": "any"})
async def update_user(
    request: AnyRequest, data: wire.UserChange, desk: Desk, options: Options
) -> Rendered[None]:
    """Replace the caller's metadata."""
    return await desk.run(request, _changed, options.metadata(data.metadata), reply=lambda _: wire.empty())


HANDLERS = [
    create_user,
    create_token,
    update_password,
    request_reset,
    reset_password,
    get_profile,
    get_user,
    list_users,
    update_user,
]
