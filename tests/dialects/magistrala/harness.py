"""The whole application in this process, on a fresh database: all but the sockets."""

import asyncio
import re
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from muster.assembly.doors import app_of
from muster.assembly.parts import first_admin, prepare
from muster.settings import load

R = TypeVar("R")

PASSWORD = "12345678"
ADMIN_PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Person:
    """A registered user and a token of hers."""

    id: str
    username: str
    token: str
    refresh: str

    @property
    def email(self) -> str:
        return f"{self.username}@example.com"


class Muster:
    """Answers requests as the server does, from a loop on a thread of its own."""

    def __init__(self, folder: Path, *, source: str = "192.0.2.1", **environment: str) -> None:
        given = {
            "MUSTER_DATA_DIR": str(folder),
            "MUSTER_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "MUSTER_LOG_LEVEL": "error",
            **environment,
        }
        self.configuration = load(given, folder=folder)
        self.source = source
        self._beside: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.parts = prepare(self.configuration)
        self.app = app_of(self.parts)
        self.wait(first_admin(self.parts))
        return self

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done beside the requests, until the end."""
        self._beside.append(asyncio.run_coroutine_threadsafe(work, self._loop))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._beside:
            each.cancel()
        self.parts.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, R]) -> R:
        """Do asynchronous work, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def ask(
        self, method: str, path: str, who: "Person | str | None" = None, *, source: str = "", **more: Any
    ) -> httpx.Response:
        """Send one request, as a person, with an Authorization of one's own, or as nobody."""
        return self.wait(self.send(method, path, who, source=source, **more))

    async def send(
        self, method: str, path: str, who: "Person | str | None" = None, *, source: str = "", **more: Any
    ) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {who.token}" if isinstance(who, Person) else who
        transport = httpx.ASGITransport(self.app, client=(source or self.source, 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://muster.test") as http:
            return await http.request(method, path, headers=headers, **more)

    def at_once(
        self, *requests: tuple[str, str, "Person | str | None", Any], **more: Any
    ) -> list[httpx.Response]:
        """Send many requests with their JSON bodies at the same time; give their answers in order."""

        async def all_of_them() -> list[httpx.Response]:
            return list(await asyncio.gather(*(self.send(*one[:3], json=one[3], **more) for one in requests)))

        return self.wait(all_of_them())

    def get(self, path: str, who: "Person | str | None" = None, **more: Any) -> Any:
        """Read something that must be there."""
        answer = self.ask("GET", path, who, **more)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def make(self, path: str, who: "Person | None", body: Any) -> Any:
        """Create something that must be possible; give it."""
        answer = self.ask("POST", path, who, json=body)
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json() if answer.content else None

    def login(self, username: str, password: str) -> Person:
        pair = self.make("/users/tokens/issue", None, {"username": username, "password": password})
        profile = self.get("/users/profile", f"Bearer {pair['access_token']}")
        return Person(profile["id"], username, pair["access_token"], pair["refresh_token"])

    def admin(self) -> Person:
        return self.login("admin", ADMIN_PASSWORD)

    def register(self, username: str) -> Person:
        body = {
            "first_name": username.title(),
            "last_name": "Doe",
            "email": f"{username}@example.com",
            "credentials": {"username": username, "secret": PASSWORD},
        }
        self.make("/users", None, body)
        return self.login(username, PASSWORD)

    def domain(self, who: Person, alias: str) -> str:
        made: str = self.make("/domains", who, {"name": alias, "alias": alias})["id"]
        return made

    def share(self, path: str, owner: Person, with_whom: Person, *actions: str, name: str = "helpers") -> str:
        """Give somebody a role on the entity at *path*; give the role's id."""
        body = {"role_name": name, "optional_actions": actions, "optional_members": [with_whom.id]}
        made: str = self.make(f"{path}/roles", owner, body)["id"]
        return made


def status(muster: Muster, method: str, path: str, who: Person | str | None, body: Any = None) -> int:
    """Ask, and give the status alone."""
    more = {} if body is None else {"json": body}
    return muster.ask(method, path, who, **more).status_code


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_TOKEN = re.compile(r"ey[\w-]+\.[\w-]+\.[\w-]+")
_KEY = re.compile(r"\b(mk|pat)_[\w-]{40,}")


def written_plain(text: str) -> str:
    """Put names in the place of what is different at every run: ids by order of appearance, times, tokens."""
    seen: dict[str, str] = {}
    text = UUID.sub(lambda found: seen.setdefault(found[0], f"<id {len(seen) + 1}>"), text)
    return _KEY.sub(r"<\1 key>", _TOKEN.sub("<token>", _TIME.sub("<time>", text)))
