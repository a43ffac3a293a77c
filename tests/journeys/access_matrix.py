"""What the access matrices of the Mainflux and the Hono door have in common: rows, worlds, who asks."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

Headers = dict[str, str]
Body = Callable[[Mapping[str, str]], Any]
"""Gives a good body."""
Mint = Callable[[str], str]
"""Gives a token of that issuer that has expired."""
Ids = dict[str, str]
"""What the paths and bodies of requests name, by the name of the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An operation: what is asked, and the status that each kind of caller gets."""

    body: Body | None = None
    query: str = ""
    makes: str = ""
    """The variable whose value the caller makes up."""
    nobody: int = 401
    silent: int | None = None
    """For whoever sends no Authorization, where the path is the Magistrala door's too and it answers."""
    foreign: int | None = 404
    """For whoever is in another tenant, and for an unknown id; None: it names nothing of anybody's."""
    guest: int | None = 404
    """For a member who may do nothing in it."""
    reader: int | None = 403
    """For a member who may read everything in it."""
    owner: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A tenant with one of each, and its owner's headers."""

    ids: Ids
    owner: Headers
    home: str
    """The tenant, as the Magistrala door names it."""
    manager: Headers
    """The owner's at that door."""
    device: Headers
    """What the device shows."""


class Door(Protocol):
    """A dialect's side of the matrix."""

    name: str
    rows: Mapping[str, Row]
    public: Mapping[str, str]
    """Operations that need no user, and where it is tested who may."""
    entities: frozenset[str]
    """The variables that name what belongs to somebody; the other ids are made up by whoever asks."""
    nobodies: dict[str, Headers]
    """The headers of callers who are nobody: with nothing, or with nothing good."""

    def scene(self) -> Scene:
        """Make a tenant with one of each."""

    def member(self, scene: Scene, actions: list[str]) -> Headers:
        """Give the headers of a new member who has a role with these actions in the tenant."""

    def unknown(self) -> Ids:
        """Give ids of the same form that name nothing."""

    def snapshot(self, scene: Scene) -> Any:
        """Give all that is in the tenant, as its owner sees it."""


@dataclass(slots=True)
class Used(Mapping[str, str]):
    """Ids that remember which of them were asked for."""

    ids: Ids
    names: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self.ids[name]

    def __iter__(self) -> Any:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a dialect's OpenAPI document, with its row."""

    id: str
    method: str
    template: str
    row: Row

    def ask(self, http: httpx.Client, headers: Headers, ids: Mapping[str, str]) -> httpx.Response:
        """Ask for it."""
        path, body = self._request(ids)
        sent = {} if body is None else {"json": body}
        return http.request(self.method, path, headers=headers, **sent)

    def _request(self, ids: Mapping[str, str]) -> tuple[str, Any]:
        path = self.template.replace("{", "%(").replace("}", ")s") % ids
        return path + self.row.query, self.row.body(ids) if self.row.body is not None else None

    def names(self, ids: Ids, wanted: frozenset[str]) -> list[str]:
        """Say which of *wanted* its path and body name."""
        used = Used(ids)
        self._request(used)
        return sorted(used.names & wanted - {self.row.makes})


def document(http: httpx.Client, door: Door) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Give method, path and description of each operation that the running server documents."""
    paths = http.get(f"/openapi/{door.name}.json").json()["paths"]
    return {
        said["operationId"]: (method.upper(), template, said)
        for template, methods in paths.items()
        for method, said in methods.items()
    }


def operations(http: httpx.Client, door: Door) -> list[Operation]:
    """Give each operation that has a row; one that ends the caller's own login comes last."""
    found = [
        Operation(name, method, template, door.rows[name])
        for name, (method, template, _) in document(http, door).items()
        if name in door.rows
    ]
    return sorted(found, key=lambda operation: operation.id == "updatePassword")


def said(answer: httpx.Response, *worlds: Ids) -> tuple[int, dict[str, str], str]:
    """Give an answer without what differs each time, its ids replaced by their names."""
    text = answer.text
    for ids in worlds:
        for name, value in ids.items():
            text = text.replace(value, f"{{{name}}}")
    dropped = ("date", "x-request-id", "content-length")
    headers = {name: value for name, value in answer.headers.items() if name not in dropped}
    return answer.status_code, headers, text


def told(answer: httpx.Response) -> tuple[int, str]:
    """Give what a failure of the test shows."""
    return answer.status_code, answer.text[:300]


def mentions(answer: httpx.Response, ids: Ids) -> list[str]:
    """Say which of the ids the answer tells of, body and headers."""
    text = answer.text + json.dumps(dict(answer.headers))
    return [name for name, value in ids.items() if value in text]
