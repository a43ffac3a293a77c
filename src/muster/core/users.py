"""Users: how they come into being, change and end."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from muster.core import access, events
from muster.core.access import Caller, record, require_scope
from muster.core.errors import Conflict, Forbidden, NotFound, SameStatus, Unauthenticated
from muster.core.model import (
    ApiKey,
    ClientIdClaim,
    Invitation,
    Kind,
    Member,
    Metadata,
    Status,
    Tenant,
    TenantId,
    User,
    UserId,
)
from muster.core.ports import ANYWHERE, Condition, Is, Not, OneOf, Order, Page, Tx, Window
from muster.core.tenancy import VERBS, add_tenant

NO_TENANT = TenantId("-")
"""Under this the journal keeps what belongs to no tenant: the changes of users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """What a user is created from; *password* is a verifier already. Without a username the id is one."""

    username: str = ""
    email: str
    password: str
    first_name: str = ""
    last_name: str = ""
    is_admin: bool = False
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    picture: str = ""


def create_user(tx: Tx, caller: Caller | None, new: NewUser, *, self_register: bool) -> User:
    """Create a user and the user's personal tenant.

    Without *self_register* only an admin may, and only an admin makes admins. Conflict when the username
    or email is taken.
    """
    by_admin = caller is not None and caller.is_admin
    if not (self_register or by_admin) or (new.is_admin and not by_admin):
        raise Unauthenticated if caller is None else Forbidden
    return add_user(tx, new, actor=caller.id if caller is not None else "")


def add_user(tx: Tx, new: NewUser, *, actor: str) -> User:
    """Create a user and the user's personal tenant, whoever asked. Conflict as in create_user."""
    user_id = UserId(tx.new_id())
    user = User(
        id=user_id,
        username=new.username or user_id,
        email=new.email,
        password=new.password,
        first_name=new.first_name,
        last_name=new.last_name,
        is_admin=new.is_admin,
        status=new.status,
        tags=new.tags,
        metadata=new.metadata,
        picture=new.picture,
        personal_tenant=TenantId(tx.new_id()),
        created_at=tx.now,
    )
    tx.add(user)
    tenant = Tenant(
        id=user.personal_tenant,
        name=new.username or user.email,
        alias=user.id,
        is_personal=True,
        created_by=user.id,
        created_at=tx.now,
    )
    add_tenant(tx, tenant, user.id)
    record(tx, actor or user.id, NO_TENANT, "user.create", [user.id])
    return user


def find_login(tx: Tx, name: str) -> User | None:
    """Give the user of that username or email, whatever the status."""
    return tx.find(User, ANYWHERE, username=name) or tx.find(User, ANYWHERE, email=name.lower())


def get_user(tx: Tx, caller: Caller, user_id: str) -> User:
    """Give a user; NotFound when there is none. The door decides how much of it the caller sees."""
    require_scope(caller, Kind.USER, "read", user_id)
    return _user(tx, user_id)


def _user(tx: Tx, user_id: str) -> User:
    user = tx.get(User, ANYWHERE, user_id)
    if user is None or user.status is Status.DELETED:
        raise NotFound
    return user


def get_self(tx: Tx, caller: Caller) -> User:
    """Give the caller."""
    require_scope(caller, Kind.USER, "read", caller.id)
    return caller.user


def list_users(tx: Tx, caller: Caller, *conditions: Condition, order: Order, window: Window) -> Page[User]:
    """List users; Forbidden but for admins."""
    if not caller.is_admin:
        raise Forbidden
    return tx.page(User, ANYWHERE, *conditions, order=order, window=window)


def search_users(tx: Tx, caller: Caller, *conditions: Condition, order: Order, window: Window) -> Page[User]:
    """Find enabled users by parts of their names; anyone may, the door shows little of each."""
    require_scope(caller, Kind.USER, "read")
    enabled = Is("status", Status.ENABLED)
    return tx.page(User, ANYWHERE, enabled, *conditions, order=order, window=window)


def list_members(
    tx: Tx, caller: Caller, tenant_id: TenantId, *conditions: Condition, order: Order, window: Window
) -> Page[User]:
    """List the users who hold any role in the tenant, for those who may see who holds roles."""
    access.enter(tx, caller, tenant_id).require("view_role_users")
    ids = {member.user_id for member in tx.select(Member, tenant_id)}
    found = OneOf("id", sorted(ids))
    return tx.page(User, ANYWHERE, found, *conditions, order=order, window=window)


def update_user(tx: Tx, caller: Caller, user_id: str, change: Callable[[User], User]) -> User:
    """Change a user's own data. The user and admins may; only admins make admins.

    Conflict when a name is taken, or when no admin would be left.
    """
    user = _own_user(tx, caller, user_id, "update")
    if user.status is not Status.ENABLED:
        raise NotFound
    changed = replace(change(user), updated_at=tx.now, updated_by=caller.id)
    if changed.is_admin != user.is_admin and not caller.is_admin:
        raise Forbidden
    if user.is_admin and not changed.is_admin:
        _keep_an_admin(tx, user)
    tx.change(changed)
    if changed.is_admin != user.is_admin:
        events.user_changed(tx, user.id)
    record(tx, caller, NO_TENANT, "user.update", [user.id])
    return changed


def set_password(tx: Tx, caller: Caller, *, old: str, new: str) -> User:
    """Put the verifier *new* in the place of *old* and end every token of the user.

    The password was compared with the verifier *old* before; Unauthenticated when it has changed since.
    """
    require_scope(caller, Kind.USER, "update", caller.id)
    user = caller.user
    if user.password != old:
        raise Unauthenticated
    changed = replace(user, password=new, epoch=user.epoch + 1, updated_at=tx.now, updated_by=caller.id)
    tx.change(changed)
    events.user_changed(tx, user.id)
    record(tx, caller, NO_TENANT, "user.password", [user.id])
    return changed


def renew_verifier(tx: Tx, user_id: UserId, *, old: str, new: str) -> bool:
    """Put another verifier of the same password in the place of *old*; no token ends.

    Say whether that was done: not when the password has changed since, or the user is gone.
    """
    user = tx.get(User, ANYWHERE, user_id)
    if user is None or user.password != old:
        return False
    tx.change(replace(user, password=new))
    return True


def reset_password(tx: Tx, user_id: UserId, epoch: int, *, new: str) -> User:
    """Set the password of the user a recovery token names; the token is good for one use."""
    user = access.authenticate(tx, access.UserToken(user_id=user_id, epoch=epoch)).user
    return set_password(tx, Caller(user=user), old=user.password, new=new)


def find_recoverable(tx: Tx, email: str) -> User | None:
    """Give the enabled user of that email, who may be sent a recovery token there."""
    user = tx.find(User, ANYWHERE, email=email)
    return user if user is not None and user.status is Status.ENABLED else None


def start_recovery(tx: Tx, caller: Caller, user_id: str) -> User:
    """Give the user whom an admin hands a recovery token; Forbidden but for admins, NotFound if disabled."""
    if not caller.is_admin:
        raise Forbidden
    user = _user(tx, user_id)
    if user.status is not Status.ENABLED:
        raise NotFound
    record(tx, caller, NO_TENANT, "user.recovery", [user.id])
    return user


def set_user_status(tx: Tx, caller: Caller, user_id: str, status: Status) -> User:
    """Enable or disable a user. Admins may, and users may disable themselves; all tokens end.

    SameStatus when it is so already; Conflict when no admin would be left.
    """
    user = _own_user(tx, caller, user_id, "update")
    if status is Status.ENABLED and not caller.is_admin:
        raise Forbidden
    if user.status is status:
        raise SameStatus
    if status is not Status.ENABLED:
        _keep_an_admin(tx, user)
    changed = replace(user, status=status, epoch=user.epoch + 1, updated_at=tx.now, updated_by=caller.id)
    tx.change(changed)
    events.user_changed(tx, user.id)
    record(tx, caller, NO_TENANT, f"user.{VERBS[status]}", [user.id])
    return changed


def delete_user(tx: Tx, caller: Caller, user_id: str) -> None:
    """End a user: keys, memberships and personal tenant go with it, the names become free.

    The row stays as `deleted`, because the journal and what the user created name it. Conflict when no
    admin would be left.
    """
    user = _own_user(tx, caller, user_id, "delete")
    _keep_an_admin(tx, user)
    gone = replace(
        user,
        status=Status.DELETED,
        username=f"deleted-{user.id}",
        email=f"deleted-{user.id}",
        password="",
        epoch=user.epoch + 1,
        updated_at=tx.now,
        updated_by=caller.id,
    )
    tx.change(gone)
    tx.remove(ApiKey, ANYWHERE, user_id=user.id)
    tx.remove(Member, ANYWHERE, user_id=user.id)
    tx.remove(Invitation, ANYWHERE, user_id=user.id)
    tenant = tx.get(Tenant, ANYWHERE, user.personal_tenant)
    if tenant is not None and tenant.status is not Status.DELETED:
        tx.change(replace(tenant, status=Status.DELETED, alias=None, updated_at=tx.now, updated_by=caller.id))
        claims = tx.select(ClientIdClaim, tenant.id)
        events.access_ended(tx, tenant.id, sorted({claim.device_id for claim in claims}))
        events.tenant_closed(tx, tenant.id)
    events.user_changed(tx, user.id)
    record(tx, caller, NO_TENANT, "user.delete", [user.id])


def _own_user(tx: Tx, caller: Caller, user_id: str, verb: str) -> User:
    require_scope(caller, Kind.USER, verb, user_id)
    if user_id != caller.id and not caller.is_admin:
        raise Forbidden
    return _user(tx, user_id)


def _keep_an_admin(tx: Tx, leaving: User) -> None:
    """Raise Conflict when nobody could administer the installation without this user."""
    if not leaving.is_admin or leaving.status is not Status.ENABLED:
        return
    tx.lock("admins")
    others = (Is("is_admin", value=True), Is("status", Status.ENABLED), Not("id", leaving.id))
    if not tx.select(User, ANYWHERE, *others, window=Window(limit=1)):
        raise Conflict("an installation keeps at least one admin")
