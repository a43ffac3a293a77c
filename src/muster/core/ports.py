"""What the core needs from outside, as small Protocols. Rooms that provide them never import each other."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from muster.core.certificates import (
    AuthorityView,
    CertificateRequest,
    Issued,
    KeyWanted,
    RevocationList,
    Shown,
)
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


class Sealer(Protocol):
    """Seals what must be shown again and hashes what must be found again."""

    def digest(self, purpose: str, plain: str) -> bytes:
        """Give a keyed hash of 32 bytes; another purpose gives another hash."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate; *context* must be given again to open."""

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what seal made."""


class Signer(Protocol):
    """Signs certificates with a CA of our own; nothing here waits for anybody."""

    @property
    def ca_bundle(self) -> str:
        """The CA certificates that verify what is issued, PEM, root first."""

    def issue(self, tenant_id: str, device_id: str, asked: CertificateRequest, now: Instant) -> Issued:
        """Sign a device's certificate. Malformed for a bad CSR, key or lifetime; Unavailable without a CA.

        KeyWanted when that needs what Pki.prepare must get first.
        """


class Preparation(Signer, Protocol):
    """A Signer for one request, with what was prepared for it."""

    async def prepare(self, wanted: KeyWanted) -> None:
        """Get what was missing. Unavailable when it cannot be had now; Malformed when it never can."""

    async def done(self, *, is_committed: bool) -> None:
        """Say how the transaction ended: what was made for it and is in no record must not live on."""


class Pki(Protocol):
    """The installation's certificate authority, as doors see it."""

    @property
    def ca_bundle(self) -> str:
        """The CA certificates that verify what is issued, PEM, root first."""

    @property
    def is_remote(self) -> bool:
        """Whether somebody else signs, so that a device's id must be known before its record is made."""

    def preparation(self) -> Preparation:
        """Begin a request that may issue."""

    async def verify(self, chain_der: Sequence[bytes]) -> Shown:
        """Verify a shown chain, leaf first, up to our own CA; Unauthenticated with the reason."""

    async def revocation_list(self, issuer_id: str | None) -> RevocationList:
        """Give the current list of a CA, by default of the one that signs. NotFound if it is not ours."""

    async def ocsp(self, question: bytes) -> bytes:
        """Answer a DER question about one certificate (RFC 6960); what is wrong with it is in the answer."""

    async def ocsp_of(self, serial: str) -> bytes:
        """Give the answer for a serial in hex; NotFound when no CA of ours signed it."""

    async def authority(self, issuer_id: str | None) -> bytes:
        """Give a CA's certificate as DER, by default that of the one that signs; NotFound."""

    async def bundle(self) -> str:
        """Give the same as `ca_bundle`, as the database has it now."""

    def certs_only(self, pem: str) -> bytes:
        """Give certificates as EST sends them (RFC 7030, 4.1.3): PKCS #7, Base64."""

    def csr_attributes(self) -> bytes:
        """Give what EST's csrattrs answers."""

    async def authorities(self) -> list[AuthorityView]:
        """Show all CAs, the newest first."""

    def roll_over(self, tx: Tx, *, with_root: bool) -> list[AuthorityView]:
        """Make a new issuing CA, and a new root above it if asked; the old ones stay trusted.

        It signs as soon as `authorities` was asked after the commit, in other processes a little later.
        """

    def take_over(self, tx: Tx, *, certificates: str, key: str, password: str | None) -> list[AuthorityView]:
        """Sign with an existing CA, as with a new one. Malformed with the reason when it cannot be used."""


class Passwords(Protocol):
    """Hashes and verifies the passwords of humans, on few threads of their own."""

    async def hash(self, plain: str) -> str:
        """Give an argon2id verifier."""

    async def verify(self, verifier: str | None, plain: str) -> bool:
        """Compare; without a verifier take as long and say no."""


class Tokens(Protocol):
    """Signs and verifies JSON Web Tokens (RFC 7519)."""

    def mint(self, claims: dict[str, Json]) -> str:
        """Sign; the issuer claim selects the algorithm."""

    def verify(self, token: str, now: int) -> dict[str, Json]:
        """Give the claims, or raise Unauthenticated; *now* in seconds since 1970 UTC."""


class Deliver(Protocol):
    """Takes events out of the database to where they belong; called in order per key."""

    def __call__(self, event: Event) -> Awaitable[None]:
        """Deliver; an exception means: again later."""
