"""Users and their tokens (spec A.1)."""

import re
from collections.abc import Callable
from dataclasses import replace

from litestar import delete, get, patch, post

from muster.core import users
from muster.core.access import Caller, authenticate
from muster.core.errors import Malformed
from muster.core.model import Status, User
from muster.core.names import check_name
from muster.core.ports import Condition, Has, Page, Tx
from muster.dialects.magistrala import queries, wire
from muster.dialects.magistrala.options import Options
from muster.dialects.magistrala.problems import BadLogin
from muster.web import auth
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.passwords import renew
from muster.web.wire import text, window

ISSUER = "supermq.auth"
ACCESS, REFRESH, RECOVERY = 0, 1, 2
ORDERS = ("username", "first_name", "last_name", "email", "created_at", "updated_at")
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@\s\x00-\x1f\x7f-\x9f]{1,255}")
_SEARCH = {
    **queries.PAGE,
    "username": {"type": "string", "minLength": 3},
    "first_name": queries.TEXT,
    "last_name": queries.TEXT,
    "id": {"type": "string", "minLength": 3},
    "order": {"type": "string", "enum": [*ORDERS]},
    "dir": queries.BOTH_WAYS,
}
NAMES = {"username": "username", "email": "email", "first_name": "first_name", "last_name": "last_name"}


# --- becoming a user -----------------------------------------------------------------------------------


@post("/users", operation_id="createUser", status_code=201, opt={"public": True})
async def create_user(
    request: AnyRequest, data: wire.NewUser, desk: Desk, options: Options
) -> Rendered[wire.UserOut]:
    """Create a user: anyone where self-registration is on, admins always."""
    draft = await _draft(data, desk, options)
    free = options.self_register
    if auth.has_token(request):
        return await desk.run(request, users.create_user, draft, self_register=free, reply=_created)
    return await desk.run_open(request, users.create_user, None, draft, self_register=free, reply=_created)


def _created(user: User) -> Reply:
    return Reply(status=201, body=wire.user(user), headers={"Location": f"/users/{user.id}"})


async def _draft(data: wire.NewUser, desk: Desk, options: Options) -> users.NewUser:
    credentials = data.credentials or wire.NewUserCredentials()
    if not data.first_name:
        raise Malformed("missing first name")
    if not data.last_name:
        raise Malformed("missing last name")
    username, email = _username(credentials.username), email_of(data.email)
    return users.NewUser(
        username=username,
        email=email,
        password=await desk.passwords.hash(password(credentials.secret, options)),
        first_name=check_name(data.first_name),
        last_name=check_name(data.last_name),
        is_admin=_is_admin(data.role),
        status=wire.status_of(data.status),
        tags=tuple(data.tags or ()),
        metadata=options.metadata(data.metadata),
        picture=_picture(data.profile_picture) if data.profile_picture else "",
    )


def _picture(address: str | None) -> str:
    if not re.fullmatch(r"https?://\S+", address or ""):
        raise Malformed("invalid profile picture url")
    return address or ""


def _username(name: str | None) -> str:
    if not name:
        raise Malformed("missing username")
    # A username that looks like an email could be taken for another user's at login.
    if "@" in name or len(name.encode()) > 254 or name.strip() != name:
        raise Malformed("invalid username")
    return check_name(name)


def email_of(email: str | None) -> str:
    if not email:
        raise Malformed("missing email")
    if not _EMAIL.fullmatch(email):
        raise Malformed("invalid email")
    return email.lower()


def password(plain: str | None, options: Options) -> str:
    if not plain:
        raise Malformed("missing password")
    if not options.password.fullmatch(plain) or len(plain.encode()) > 1024:
        raise Malformed("password does not meet the requirements")
    return plain


def _is_admin(role: str | None) -> bool:
    if role not in (None, "", "user", "admin"):
        raise Malformed("invalid client role")
    return role == "admin"


# --- tokens --------------------------------------------------------------------------------------------


@post("/users/tokens/issue", operation_id="issueToken", status_code=201, opt={"public": True})
async def issue_token(
    request: AnyRequest, data: wire.Login, desk: Desk, options: Options
) -> Rendered[wire.TokenPair]:
    """Exchange name and password for an access and a refresh token."""
    name, plain = data.username or data.identity, data.password or data.secret
    if not name:
        raise Malformed("missing username")
    if not plain:
        raise Malformed("missing password")
    user = await _verified(request, desk, options, name, plain)
    return desk.answer(Reply(status=201, body=_pair(desk, options, user)))


async def _verified(request: AnyRequest, desk: Desk, options: Options, name: str, plain: str) -> User:
    """Give the user whose password this is; guessing is slowed down per name and source."""
    key = ("login", name.lower(), request.client.host if request.client else "")
    options.throttle.check(key, desk.clock())
    user = await desk.store.read(users.find_login, name)
    is_right = await desk.passwords.verify(user.password if user is not None else None, plain)
    if user is None or not is_right or user.status is not Status.ENABLED:
        options.throttle.failed(key, desk.clock())
        raise BadLogin
    await renew(desk.store, desk.passwords, user, plain)
    return user


def _pair(desk: Desk, options: Options, user: User) -> wire.TokenPair:
    return wire.TokenPair(
        access_token=mint(desk, user, ACCESS, options.access_lifetime),
        refresh_token=mint(desk, user, REFRESH, options.refresh_lifetime),
    )


def mint(desk: Desk, user: User, kind: int, lifetime: int) -> str:
    """Sign a token with the claims upstream's user interfaces decode (spec A.0)."""
    now = desk.clock() // 1_000_000
    claims = {"exp": now + lifetime, "iat": now, "iss": ISSUER, "type": kind, "user": user.id}
    return desk.tokens.mint({**claims, "epoch": user.epoch})


@post(
    "/users/tokens/refresh",
    operation_id="refreshToken",
    status_code=201,
    opt={"content_type": "any", "body": "optional", "kinds": (REFRESH,)},
)
async def refresh_token(request: AnyRequest, desk: Desk, options: Options) -> Rendered[wire.TokenPair]:
    """Exchange a refresh token for a new pair."""
    evidence = auth.evidence(request, desk.tokens, desk.clock, kinds=frozenset({REFRESH}))

    def renewed(user: User) -> Reply:
        return Reply(status=201, body=_pair(desk, options, user))

    return await desk.read(request, users.get_self, evidence=evidence, reply=renewed)


# --- reading -------------------------------------------------------------------------------------------


def _shown(user: User) -> Reply:
    return Reply(body=wire.user(user))


@get("/users/profile", operation_id="getProfile")
async def get_profile(request: AnyRequest, desk: Desk) -> Rendered[wire.UserOut]:
    """Show the caller."""
    return await desk.read(request, users.get_self, reply=_shown)


def _seen(tx: Tx, caller: Caller, user_id: str) -> wire.UserOut:
    user = users.get_user(tx, caller, user_id)
    return wire.user(user) if caller.is_admin or user.id == caller.id else wire.reduced_user(user)


@get("/users/{user_id:str}", operation_id="getUser")
async def get_user(request: AnyRequest, user_id: str, desk: Desk) -> Rendered[wire.UserOut]:
    """Show a user; to others than the user and admins the names only."""
    return await desk.read(request, _seen, user_id, reply=lambda shown: Reply(body=shown))


def page(request: AnyRequest, show: Callable[[User], wire.UserOut]) -> Callable[[Page[User]], Reply]:
    """Answer with a window of users, each shown as *show* does."""
    asked = window(request)

    def shown(found: Page[User]) -> Reply:
        users = [show(u) for u in found.items]
        body = wire.UserPage(limit=asked.limit or 0, offset=asked.offset, total=found.total, users=users)
        return Reply(body=body)

    return shown


@get("/users", operation_id="listUsers", opt={"query": queries.listed(ORDERS, "id", *NAMES)})
async def list_users(request: AnyRequest, desk: Desk) -> Rendered[wire.UserPage]:
    """List users; admins only."""
    conditions = queries.filters(request, "id", **NAMES)
    order = queries.order(request, ORDERS, is_strict=True)
    asked = window(request)
    return await desk.read(
        request, users.list_users, *conditions, order=order, window=asked, reply=page(request, wire.user)
    )


@get("/users/search", operation_id="searchUsers", opt={"query": _SEARCH})
async def search_users(request: AnyRequest, desk: Desk) -> Rendered[wire.UserPage]:
    """Find users by parts of their names."""
    conditions: list[Condition] = []
    for name in ("username", "first_name", "last_name", "id"):
        wanted = text(request, name)
        if wanted is None:
            continue
        if name in ("username", "id") and len(wanted) < 3:
            raise Malformed("search query must be at least 3 characters")
        conditions.append(Has(name, wanted))
    if not conditions:
        raise Malformed("search query must not be empty")
    return await desk.read(
        request,
        users.search_users,
        *conditions,
        order=queries.order(request, ORDERS, is_strict=True),
        window=window(request),
        reply=page(request, wire.reduced_user),
    )


# --- change --------------------------------------------------------------------------------------------


@patch("/users/secret", operation_id="updateUserSecret")
async def update_secret(
    request: AnyRequest, data: wire.SecretChange, desk: Desk, options: Options
) -> Rendered[wire.UserOut]:
    """Change the caller's password; all of the caller's tokens end."""
    if not data.old_secret or not data.new_secret:
        raise Malformed("missing secret")
    evidence = auth.evidence(request, desk.tokens, desk.clock)
    fresh = await desk.passwords.hash(password(data.new_secret, options))
    user = (await desk.store.read(authenticate, evidence)).user
    if not await desk.passwords.verify(user.password, data.old_secret):
        raise BadLogin
    return await desk.run(request, users.set_password, old=user.password, new=fresh, reply=_shown)


async def _update(
    request: AnyRequest, desk: Desk, user_id: str, change: Callable[[User], User]
) -> Rendered[wire.UserOut]:
    return await desk.run(request, users.update_user, user_id, change, reply=_shown)


@patch("/users/{user_id:str}", operation_id="updateUser")
async def update_user(
    request: AnyRequest, user_id: str, data: wire.UserChange, desk: Desk, options: Options
) -> Rendered[wire.UserOut]:
    """Change names or metadata; what is absent stays."""

    def change(user: User) -> User:
        return replace(
            user,
            first_name=check_name(data.first_name) if data.first_name else user.first_name,
            last_name=check_name(data.last_name) if data.last_name else user.last_name,
            metadata=options.changed_metadata(data.metadata, user.metadata),
        )

    return await _update(request, desk, user_id, change)


@patch("/users/{user_id:str}/username", operation_id="updateUsername")
async def update_username(
    request: AnyRequest, user_id: str, data: wire.Username, desk: Desk
) -> Rendered[wire.UserOut]:
    """Change the username."""
    name = _username(data.username)
    return await _update(request, desk, user_id, lambda user: replace(user, username=name))


@patch("/users/{user_id:str}/picture", operation_id="updatePicture")
async def update_picture(
    request: AnyRequest, user_id: str, data: wire.Picture, desk: Desk
) -> Rendered[wire.UserOut]:
    """Change the address of the profile picture."""
    picture = _picture(data.profile_picture)
    return await _update(request, desk, user_id, lambda user: replace(user, picture=picture))


@patch("/users/{user_id:str}/tags", operation_id="updateUserTags")
async def update_tags(
    request: AnyRequest, user_id: str, data: wire.Tags, desk: Desk
) -> Rendered[wire.UserOut]:
    """Put other tags in the place of the old."""
    return await _update(request, desk, user_id, lambda user: replace(user, tags=tuple(data.tags)))


@patch("/users/{user_id:str}/email", operation_id="updateEmail")
async def update_email(
    request: AnyRequest, user_id: str, data: wire.Email, desk: Desk
) -> Rendered[wire.UserOut]:
    """Change the email."""
    email = email_of(data.email)
    return await _update(request, desk, user_id, lambda user: replace(user, email=email))


@patch("/users/{user_id:str}/role", operation_id="updateUserRole")
async def update_role(
    request: AnyRequest, user_id: str, data: wire.RoleName, desk: Desk
) -> Rendered[wire.UserOut]:
    """Make a user an admin of the installation, or no longer; admins only."""
    if not data.role:
        raise Malformed("invalid client role")
    is_admin = _is_admin(data.role)
    return await _update(request, desk, user_id, lambda user: replace(user, is_admin=is_admin))


@post("/users/{user_id:str}/enable", operation_id="enableUser", status_code=200)
async def enable_user(request: AnyRequest, user_id: str, desk: Desk) -> Rendered[wire.UserOut]:
    """Let a user in again; admins only."""
    return await desk.run(request, users.set_user_status, user_id, Status.ENABLED, reply=_shown)


@post("/users/{user_id:str}/disable", operation_id="disableUser", status_code=200)
async def disable_user(request: AnyRequest, user_id: str, desk: Desk) -> Rendered[wire.UserOut]:
    """Keep a user out; all of the user's tokens end."""
    return await desk.run(request, users.set_user_status, user_id, Status.DISABLED, reply=_shown)


@delete("/users/{user_id:str}", operation_id="deleteUser", status_code=204)
async def delete_user(request: AnyRequest, user_id: str, desk: Desk) -> Rendered[None]:
    """End a user."""
    return await desk.run(request, users.delete_user, user_id, reply=lambda _: Reply(status=204))


HANDLERS = [
    create_user,
    issue_token,
    refresh_token,
    get_profile,
    get_user,
    list_users,
    search_users,
    update_secret,
    update_user,
    update_username,
    update_picture,
    update_tags,
    update_email,
    update_role,
    enable_user,
    disable_user,
    delete_user,
]
