"""Two small dialects that share paths, over a real store."""

import asyncio
import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
from litestar import Controller, delete, get, patch, post, put
from litestar.di import Provide
from prometheus_client import CollectorRegistry

from muster.ca.passwords import PasswordPool
from muster.ca.secrets import Keyring
from muster.ca.tokens import Tokens
from muster.core import errors, users
from muster.core.access import Caller
from muster.core.model import Group, GroupId, Instant, User
from muster.core.ports import Is, Tx, Window
from muster.store.engine import AnyStore
from muster.web import app, auth, wire
from muster.web import errors as web
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.observe import Lines, json_logger
from muster.web.request import incoming

NORTH_PORT, SOUTH_PORT = 9006, 8182

# --- what happens --------------------------------------------------------------------------------------


class NewNote(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    metadata: dict[str, Any] = {}
    size: int = 0


class Note(msgspec.Struct):
    id: str
    name: str


class Notes(msgspec.Struct):
    total: int
    notes: list[Note]


class Problem(msgspec.Struct):
    error: str
    message: str


class ShortProblem(msgspec.Struct):
    error: str


def add_note(tx: Tx, caller: Caller, name: str) -> Group:
    if name == "taken":
        raise errors.Conflict
    if name == "secret-in-error":
        raise RuntimeError("the password is hunter2")
    note = Group(id=GroupId(tx.new_id()), tenant_id=caller.user.personal_tenant, name=name, created_at=tx.now)
    tx.add(note)
    return note


def list_notes(tx: Tx, caller: Caller, name: str | None, window: Window) -> list[Group]:
    conditions = [] if name is None else [Is("name", name)]
    return tx.select(Group, caller.user.personal_tenant, *conditions, window=window)


def view_note(tx: Tx, caller: Caller, note_id: str) -> Group:
    note = tx.get(Group, caller.user.personal_tenant, note_id)
    if note is None:
        raise errors.NotFound
    return note


def note_of(group: Group) -> Note:
    return Note(group.id, group.name)


def made(group: Group) -> Reply:
    return Reply(status=201, body=note_of(group), headers={"Location": f"/notes/{group.id}"})


def said(value: Any) -> Reply:
    return Reply(body=value)


# --- north ---------------------------------------------------------------------------------------------


class NorthNotes(Controller):
    path = "/{tenant:str}/notes"

    @post("/", status_code=201)
    async def create(self, request: AnyRequest, data: NewNote, desk: Desk) -> Rendered[Note]:
        """Create a note.

        Its name is kept.
        """
        return await desk.run(request, add_note, data.name, reply=made)

    @post("/broken", status_code=201)
    async def broken(self, request: AnyRequest, desk: Desk) -> Rendered[Note]:
        """Cannot say what it did."""
        return await desk.run(request, add_note, "never", reply=lambda _: Reply(body=object()))

    @get("/", opt={"query": ("offset", "limit")})
    async def listed(self, request: AnyRequest, desk: Desk, name: str | None = None) -> Rendered[Notes]:
        """List the notes."""
        asked = wire.window(request)

        def answer(notes: list[Group]) -> Reply:
            return Reply(body=Notes(len(notes), [note_of(n) for n in notes]))

        return await desk.read(request, list_notes, name, asked, reply=answer)

    @get("/{note:str}")
    async def view(self, request: AnyRequest, note: str, desk: Desk) -> Rendered[Note]:
        """Show a note."""
        return await desk.read(request, view_note, note, reply=lambda group: said(note_of(group)))

    @patch("/{note:str}", opt={"content_type": "exact"})
    async def change(self, note: str, data: NewNote, desk: Desk) -> Rendered[Note]:
        """Change nothing, but say so."""
        return desk.answer(said(Note(note, data.name)))

    @put("/{note:str}", opt={"content_type": "any"})
    async def replace(self, note: str, data: NewNote | None, desk: Desk) -> Rendered[Note]:
        """Replace nothing, whatever the content type."""
        return desk.answer(said(Note(note, data.name if data else "")))


def register(tx: Tx, name: str) -> User:
    new = users.NewUser(username=name, email=f"{name}@example.com", password="-")
    return users.add_user(tx, new, actor="")


class North(msgspec.Struct):
    first_name: str


class South(msgspec.Struct):
    email: str


@post("/users", status_code=201, opt={"public": True})
async def north_user(request: AnyRequest, data: North, desk: Desk) -> Rendered[str]:
    """Register."""
    return await desk.run_open(
        request, register, data.first_name, reply=lambda user: Reply(status=201, body=user.id)
    )


@get("/users/{user:str}", opt={"public": True})
async def north_view(user: str, desk: Desk) -> Rendered[dict[str, str]]:
    """Show a user."""
    return desk.answer(said({"north": user}))


@post("/mapping", opt={"public": True}, status_code=201)
async def north_mapping(desk: Desk) -> Rendered[str]:
    """Map."""
    return desk.answer(said("north"))


@get("/fetch/{external_id:path}", opt={"public": True})
async def fetch(request: AnyRequest, external_id: str, desk: Desk) -> Rendered[dict[str, str | None]]:
    """Fetch by external id."""
    return desk.answer(said({"id": external_id, "key": auth.device_key(request)}))


@get("/fetch/secure/{external_id:path}", opt={"public": True})
async def fetch_secure(external_id: str, desk: Desk) -> Rendered[bytes]:
    """Fetch sealed."""
    return desk.answer(Reply(body=external_id.encode(), media_type="application/octet-stream"))


def paging(limit: int = 10, offset: int = 0) -> tuple[int, int]:
    return limit, offset


@get("/paged", opt={"public": True}, dependencies={"asked": Provide(paging, sync_to_thread=False)})
async def paged(asked: tuple[int, int], stamp: str, desk: Desk) -> Rendered[list[Any]]:
    """Take what a dependency took, and what the dialect is given."""
    return desk.answer(said([*asked, stamp]))


@get("/optional", opt={"token": "optional"})
async def optional(request: AnyRequest, desk: Desk) -> Rendered[bool]:
    """Say whether there is a caller."""
    return desk.answer(said(incoming(request).evidence is not None))


@post("/renew", opt={"kinds": (1,)}, status_code=201)
async def renew(request: AnyRequest, desk: Desk) -> Rendered[str]:
    """Take refresh tokens only."""
    return await desk.run(
        request, lambda tx, caller: caller.id, reply=lambda one: Reply(status=201, body=one)
    )


@get("/throttled", opt={"public": True})
async def throttled() -> Rendered[None]:
    """Refuse."""
    raise errors.TooMany(17)


@get("/odd/{number:int}", opt={"public": True})
async def odd(
    number: int, desk: Desk, greeting: str, many: list[int] | None = None, wanted: bool = False
) -> Rendered[list[Any]]:
    """Take parameters of every kind."""
    return desk.answer(said([number, greeting, many, wanted]))


@get("/headers", opt={"public": True})
async def hostile_header(request: AnyRequest, desk: Desk) -> Rendered[None]:
    """Answer with whatever the caller wants in a header."""
    return desk.answer(Reply(headers={"Location": wire.raw(request, "to") or ""}))


def north_problem(error: Exception) -> Reply:
    status = next((s for kind, s in STATUSES.items() if isinstance(error, kind)), 500)
    text = str(error) if status < 500 else ""
    return Reply(status=status, body=Problem(error=text, message=type(error).__name__))


STATUSES: dict[type[Exception], int] = {
    web.WrongMethod: 405,
    web.KeyReused: 422,
    errors.Malformed: 400,
    errors.Unsupported: 415,
    errors.TooLarge: 413,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}

# --- south ---------------------------------------------------------------------------------------------


@post("/users", status_code=201, opt={"public": True})
async def south_user(data: South, desk: Desk) -> Rendered[str]:
    """Register the old way."""
    return desk.answer(Reply(status=201, body=f"south {data.email}"))


@get("/users/{id:str}", opt={"public": True})
async def south_view(id: str, desk: Desk) -> Rendered[dict[str, str]]:  # noqa: A002
    """Show a user the old way."""
    return desk.answer(said({"south": id}))


@delete("/users/{id:str}", status_code=204)
async def south_delete(id: str, desk: Desk) -> Rendered[None]:  # noqa: A002
    """Delete a user, which only the south can."""
    return desk.answer(Reply(status=204))


@post("/mapping", opt={"public": True}, status_code=201)
async def south_mapping(desk: Desk) -> Rendered[str]:
    """Map the old way."""
    return desk.answer(said("south"))


@get("/things/{id:str}", opt={"public": True})
async def south_thing(id: str, desk: Desk) -> Rendered[str]:  # noqa: A002
    """Show a thing."""
    return desk.answer(said(id))


def south_problem(error: Exception) -> Reply:
    return Reply(status=north_problem(error).status, body=ShortProblem(error=type(error).__name__))


def dialects(unmarked: str = "") -> list[app.Dialect]:
    """Give both; *unmarked* names the one that takes /mapping without Authorization."""
    mapping = frozenset({"/mapping"})
    north = app.Dialect(
        name="north",
        title="North",
        handlers=[
            NorthNotes,
            north_user,
            north_view,
            north_mapping,
            fetch,
            fetch_secure,
            odd,
            hostile_header,
            paged,
            optional,
            renew,
            throttled,
        ],
        given={"stamp": "given"},
        problem=north_problem,
        problem_type=Problem,
        ports=frozenset({NORTH_PORT}),
        issuers=frozenset({"supermq.auth"}),
        schemes=frozenset({"bearer", "client"}),
        unmarked=mapping if unmarked == "north" else frozenset(),
        shapes={"POST /users": lambda names: "first_name" in names},
        line_end=b"\n",
        tenant_variable="tenant",
    )
    south = app.Dialect(
        name="south",
        title="South",
        handlers=[south_user, south_view, south_delete, south_mapping, south_thing],
        problem=south_problem,
        problem_type=ShortProblem,
        ports=frozenset({SOUTH_PORT}),
        issuers=frozenset({"mainflux.auth"}),
        schemes=frozenset({"", "thing"}),
        unmarked=mapping if unmarked == "south" else frozenset(),
        shapes={"POST /users": lambda names: "email" in names},
    )
    return [north, south]


# --- the door ------------------------------------------------------------------------------------------


@dataclass
class Door:
    """The app of both dialects, called in process; and what it wrote."""

    store: AnyStore
    keyring: Keyring
    clock: Any
    limits: app.Limits = field(default_factory=app.Limits)
    unmarked: str = ""
    port: int = 8080

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.written = io.BytesIO()
        self.tokens = Tokens(self.keyring)
        self.passwords = PasswordPool()
        self._lines = Lines(self.written)
        self.log = json_logger(self._lines)
        self.app = app.build(
            dialects(self.unmarked),
            store=self.store,
            tokens=self.tokens,
            passwords=self.passwords,
            clock=self.clock,
            registry=self.registry,
            log=self.log,
            limits=self.limits,
            about=app.About(version="1.2.3"),
        )

    async def user(self) -> User:
        return await self.store.run(register, f"ann-{uuid.uuid4().hex}")

    def token(self, user: User, issuer: str = "supermq.auth", **claims: Any) -> str:
        now = self.clock() // 1_000_000
        said = {"iss": issuer, "iat": now, "exp": now + 3600, "type": 0, "user": user.id, "epoch": user.epoch}
        return self.tokens.mint({**said, **claims})

    async def __call__(
        self, method: str, path: str, token: str | None = None, *, port: int | None = None, **request: Any
    ) -> httpx.Response:
        headers = {**({"Authorization": token} if token else {}), **request.pop("headers", {})}
        transport = httpx.ASGITransport(self.app)
        base = f"http://localhost:{port or self.port}"
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, headers=headers, **request)

    async def raw(
        self, scope: dict[str, Any], parts: Sequence[bytes] = (b"",), *, stalls: bool = False
    ) -> list[dict[str, Any]]:
        """Call the app as a server would, with a body in parts; give what it sent."""
        sent: list[dict[str, Any]] = []
        waiting = list(parts)

        async def receive() -> dict[str, Any]:
            if not waiting:
                if stalls:
                    await asyncio.Event().wait()
                return {"type": "http.disconnect"}
            part = waiting.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(waiting) or stalls}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app({**SCOPE, **scope}, receive, send)  # type: ignore[arg-type]
        return sent

    def lines(self) -> list[dict[str, Any]]:
        """Give the log, line by line."""
        self._lines.flush()
        return [msgspec.json.decode(line) for line in self.written.getvalue().splitlines()]


SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 8080),
    "client": ("127.0.0.1", 40000),
    "scheme": "http",
    "root_path": "",
    "headers": [],
    "state": {},
    "method": "GET",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
}

__all__ = ["SCOPE", "Door", "Instant", "dialects"]
