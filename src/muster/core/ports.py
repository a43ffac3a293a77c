"""What the core needs from outside, as small Protocols. Rooms that provide them never import each other."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from muster.core.model import Event, Flow, Instant, Json, TenantId

N = TypeVar("N")
R = TypeVar("R")
P = ParamSpec("P")

ANYWHERE = TenantId("")
"""Instead of a tenant, for nouns that have none and for the few look-ups that name none: login, bootstrap
fetch, uniqueness in the installation, the outbox, `muster doctor`. Every use is a place to review."""


# --- conditions of a query; all of a query's conditions hold at once ---------------------------------


@dataclass(frozen=True, slots=True)
class Is:
    """The field equals *value*; None matches nothing set. A Secret is compared by its keyed hash."""

    field: str
    value: Any


@dataclass(frozen=True, slots=True)
class Not:
    """The field differs from *value*."""

    field: str
    value: Any


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field equals one of *values*; none of them matches no row."""

    field: str
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Has:
    """The text field contains *text*, whatever the case; `%` and `_` mean themselves."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Contains:
    """The JSON object *field* contains *part*: every member of part is there, nested objects likewise."""

    field: str
    part: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Tagged:
    """One of the tags contains *text*, whatever the case."""

    text: str


@dataclass(frozen=True, slots=True)
class Before:
    """The field is less than *value*."""

    field: str
    value: Any


@dataclass(frozen=True, slots=True)
class After:
    """The field is greater than *value*."""

    field: str
    value: Any


@dataclass(frozen=True, slots=True)
class Connected:
    """The device or channel is connected to the other one named *id*, by any of *flow*; or is not."""

    id: str
    flow: Flow = Flow.BOTH
    is_connected: bool = True


@dataclass(frozen=True, slots=True)
class VisibleTo:
    """The caller created it, or holds a role on it, or on a group above it, with one of *actions*."""

    user_id: str
    actions: Sequence[str]
    """The names of the action in a role on the entity itself and in a role on a group above it."""


@dataclass(frozen=True, slots=True)
class InRole:
    """The user holds a role on the entity: the one of that id, of that name, with that action; None: any.

    The role `admin` of the creator is implied until one is stored (see core/roles).
    """

    user_id: str
    role_id: str | None = None
    role_name: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class HeldBy:
    """The role has this member; the tenant has one with this member (on itself, where it needs *action*)."""

    user_id: str
    action: str | None = None


@dataclass(frozen=True, slots=True)
class Active:
    """The bootstrap configuration is (or is not) connected to all the channels it lists, one at least.

    Channels that were deleted since do not count.
    """

    is_active: bool


@dataclass(frozen=True, slots=True)
class At:
    """The value at *path* inside the JSON of *field* equals *value*: a text, a number or a truth."""

    field: str
    path: tuple[str, ...]
    value: Json


@dataclass(frozen=True, slots=True)
class Like:
    """The text field, or the text at *path* in a JSON field, fits a pattern.

    `*` is any run of characters, `?` exactly one, all else means itself; the whole text, case counts.
    """

    field: str
    path: tuple[str, ...]
    pattern: str


@dataclass(frozen=True, slots=True)
class SpeaksForOthers:
    """The device is a gateway: another one names it in `via`, or it is in a group; or it is none."""

    is_gateway: bool


@dataclass(frozen=True, slots=True)
class Due:
    """The webhook is enabled, may be called at that time, and a notice for it waits no longer."""

    now: Instant


@dataclass(frozen=True, slots=True)
class Trusts:
    """The tenant trusts a CA whose *field* equals *value*, or fits it as Like has it; the one at *place*."""

    field: str
    value: Any
    is_pattern: bool = False
    place: int | None = None


Condition = (
    At
    | Trusts
    | Due
    | Like
    | SpeaksForOthers
    | Is
    | Not
    | OneOf
    | Has
    | Contains
    | Tagged
    | Before
    | After
    | Connected
    | VisibleTo
    | InRole
    | HeldBy
    | Active
)


@dataclass(frozen=True, slots=True)
class Order:
    """By this field, or by the value at *path* in it; then as *then* says; ties by creation time, then id."""

    field: str = "updated_at"
    is_descending: bool = False
    path: tuple[str, ...] = ()
    then: "Order | None" = None


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of all matches: *limit* rows after *offset*; limit None means all the rest."""

    offset: int = 0
    limit: int | None = 10

    def of(self, items: Sequence[N]) -> Sequence[N]:
        """Give that part of what is in memory already."""
        return items[self.offset : None if self.limit is None else self.offset + self.limit]


@dataclass(frozen=True, slots=True)
class Page(Generic[N]):
    """A window of matches and the count of all of them."""

    items: list[N] = field(default_factory=list)
    total: int = 0


class Tx(Protocol):
    """One transaction. Rows in and out are the nouns of core/model.

    Every call names the tenant whose rows it may see, or ANYWHERE. A noun is identified by its id field,
    except: Connection (channel_id, device_id), BootstrapConfig (device_id), ProvisionRecord (external_id),
    Member (role_id, user_id), Invitation (user_id), Presence (device_id); for these use find and
    remove with the fields by name.
    """

    @property
    def now(self) -> Instant:
        """The time of this use case; the same however often it is read."""

    def new_id(self) -> str:
        """Give a fresh UUID: version 4 in form, its first 48 bits the time, so that rows lie in order."""

    def new_secret(self) -> str:
        """Give a fresh device secret: a random UUID of version 4, 122 random bits."""

    def new_token(self) -> str:
        """Give a fresh secret of 256 random bits for keys and claims, URL-safe."""

    def digest(self, purpose: str, plain: str) -> bytes:
        """Give the keyed hash under which a secret is stored and found."""

    def digests(self, purpose: str, plain: str) -> tuple[bytes, ...]:
        """Give every keyed hash under which it may have been stored: the newest master key's first."""

    def add(self, *nouns: Any) -> None:
        """Insert them, in one statement a noun's kind. Conflict when a unique key is taken, none inserted."""

    def get(self, kind: type[N], tenant: TenantId, id: str) -> N | None:  # noqa: A002 the field's name
        """Give the noun of that id in the tenant, or None."""

    def find(self, kind: type[N], tenant: TenantId, **equals: Any) -> N | None:
        """Give the one noun whose fields equal these, or None."""

    def select(
        self,
        kind: type[N],
        tenant: TenantId,
        *conditions: Condition,
        order: Order | None = None,
        window: Window | None = None,
    ) -> list[N]:
        """Give the nouns that meet all conditions; without a window all of them."""

    def page(
        self,
        kind: type[N],
        tenant: TenantId,
        *conditions: Condition,
        order: Order = Order(),
        window: Window = Window(),
    ) -> Page[N]:
        """Give a window of the nouns that meet all conditions, and the count of all that do."""

    def count(self, kind: type[Any], tenant: TenantId, *conditions: Condition) -> int:
        """Count the nouns that meet all conditions; without a condition, or by status alone, at no cost."""

    def change(self, noun: Any) -> None:
        """Write the noun over the row of the same identity. Conflict as in add; NotFound if there is none."""

    def remove(self, kind: type[Any], tenant: TenantId, **equals: Any) -> int:
        """Delete the rows whose fields equal these (a list or tuple: any of its members); say how many."""

    def lock(self, name: str) -> None:
        """Hold *name* until the transaction ends; others that lock it wait."""

    def emit(self, *events: Event) -> None:
        """Write to the outbox."""


class Store(Protocol):
    """Runs a use case as one transaction on a thread of its own: return commits, raise rolls back.

    It may run a use case again from its start, so a use case does nothing outside of its transaction.
    """

    async def run(self, use_case: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a use case that may write. What it returned was durable before this returns."""

    async def read(
        self, use_case: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a use case that only reads. It sees everything that was acknowledged before."""


class Deliver(Protocol):
    """Takes events out of the database to where they belong; called in order per key."""

    def __call__(self, event: Event) -> Awaitable[None]:
        """Deliver; an exception means: again later."""
