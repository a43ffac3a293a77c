"""Both doors in process over a real store, and golden files of what the Mainflux one says."""

import itertools
import os
import re
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from muster.assembly.doors import app_of
from muster.assembly.parts import Parts
from muster.assembly.signing import OwnCa
from muster.ca.passwords import PasswordPool
from muster.ca.secrets import Keyring
from muster.ca.tokens import Tokens
from muster.core import users
from muster.core.model import User
from muster.core.ports import Tx
from muster.settings.configuration import load
from muster.store.engine import AnyStore
from muster.web.observe import json_logger

GOLDEN = Path(__file__).parent / "golden"
WRITES = os.environ.get("MUSTER_GOLDEN") == "write"
"""MUSTER_GOLDEN=write writes the golden files anew; then read what changed."""
SHOWN = ("content-type", "location", "warning-deprecated", "allow", "retry-after")
PASSWORD = "12345678"
JSON = {"Content-Type": "application/json"}
SEALED_KEY = "sixteen bytes---"

_MARK = re.compile(r"(~|%7E)\d+")
_MASKS = (
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"), "token"),
    (re.compile(r"mk_[\w-]+"), "secret"),
    (re.compile(r"(-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\\n)+"), "pem"),
    (re.compile(r"\b[0-9a-f]{32,40}\b"), "serial"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "id"),
    (re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+Z"), "time"),
)


@dataclass
class Door:
    """The app of both dialects in process."""

    store: AnyStore
    keyring: Keyring
    clock: Any
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        configuration = load({"MUSTER_BOOTSTRAP_ENCRYPT_KEY": SEALED_KEY, **self.environ}, folder=self.folder)
        self.parts = Parts(
            configuration=configuration,
            keyring=self.keyring,
            tokens=Tokens(self.keyring),
            passwords=PasswordPool(),
            store=self.store,
            pki=OwnCa(self.store, self.clock, configuration.settings.base_url),
            clock=self.clock,
            registry=CollectorRegistry(),
            log=json_logger(),
        )
        self.app = app_of(self.parts)

    async def open(self) -> "Door":
        """Have a CA."""
        await self.parts.pki.load()
        return self

    def close(self) -> None:
        self.parts.passwords.close()
        self.parts.pki.close()


class House:
    """The door, called as clients call it, with names that no other test has."""

    count = itertools.count(1)

    def __init__(self, door: Door) -> None:
        self.door = door
        self.parts = door.parts
        self._mark = f"~{next(self.count)}"
        self._labels: dict[str, str] = {}

    def own(self, name: str) -> str:
        """Give a name, external id or key that no other test has."""
        return name + self._mark

    async def call(
        self, method: str, path: str, token: str | None = None, *, port: int | None = None, **request: Any
    ) -> httpx.Response:
        headers = {**({"Authorization": token} if token else {}), **request.pop("headers", {})}
        transport = httpx.ASGITransport(self.door.app)
        base = f"http://localhost:{port or 8080}"
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, headers=headers, **request)

    async def seen(
        self, name: str, status: int, method: str, path: str, token: str | None = None, **request: Any
    ) -> httpx.Response:
        """Call, assert the status by itself, then that the golden file of that name says the same."""
        answer = await self.call(method, path, token, **request)
        assert (name, status) == (name, answer.status_code), answer.text
        self._compare(name, answer)
        return answer

    def _compare(self, name: str, answer: httpx.Response) -> None:
        asked = answer.request
        lines = [f"{asked.method} {asked.url.raw_path.decode()}"]
        if "authorization" in asked.headers:
            lines.append(f"authorization: {asked.headers['authorization']}")
        lines += [asked.content.decode(), "", str(answer.status_code)]
        lines += [f"{key}: {answer.headers[key]}" for key in SHOWN if key in answer.headers]
        text = self._masked("\n".join([*lines, "", answer.text]))
        file = GOLDEN / f"{name}.http"
        if WRITES:
            file.write_text(text)
        assert file.read_text() == text

    def _masked(self, text: str) -> str:
        text = _MARK.sub("", text)
        for pattern, kind in _MASKS:
            text = pattern.sub(lambda found, kind=kind: self._label(kind, found[0]), text)
        return text

    def _label(self, kind: str, value: str) -> str:
        if kind == "time":
            return "{time}"
        count = sum(label.startswith(f"{{{kind}-") for label in self._labels.values())
        return self._labels.setdefault(value, f"{{{kind}-{count + 1}}}")

    # --- who and what is there ---------------------------------------------------------------------

    def email(self, name: str = "john") -> str:
        """Give the email of a user."""
        return f"{self.own(name)}@email.com"

    async def user(self, name: str = "john") -> str:
        """Register a user; give a token."""
        body = {"email": self.email(name), "password": PASSWORD}
        made = await self.call("POST", "/users", json=body)
        assert 201 == made.status_code, made.text
        return await self.login(name)

    async def admin(self) -> str:
        """Make an admin of the installation; give a token."""
        await self.user("admin")
        found = await self.parts.store.read(users.find_login, self.email("admin"))
        assert found is not None
        await self.parts.store.run(_promote, found)
        return await self.login("admin")

    async def login(self, name: str = "john", password: str = PASSWORD) -> str:
        """Give a token of a user."""
        answer = await self.call("POST", "/tokens", json={"email": self.email(name), "password": password})
        assert 201 == answer.status_code, answer.text
        token: str = answer.json()["token"]
        return token

    async def new(self, noun: str, token: str, **body: Any) -> dict[str, Any]:
        """Create a thing or channel; *noun* in the plural."""
        answer = await self.call("POST", f"/{noun}/bulk", token, json=[body])
        assert 201 == answer.status_code, answer.text
        made: dict[str, Any] = answer.json()[noun][0]
        return made

    async def connected(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Create a thing and a channel, and connect them."""
        thing, channel = await self.new("things", token), await self.new("channels", token)
        path = f"/channels/{channel['id']}/things/{thing['id']}"
        assert 200 == (await self.call("PUT", path, token)).status_code
        return thing, channel

    async def mapped(self, token: str, name: str = "gw", key: str = "key") -> dict[str, Any]:
        """Provision a gateway with an external id of the test's own."""
        body = {"external_id": self.own(name), "external_key": key}
        answer = await self.call("POST", "/mapping", token, json=body)
        assert 201 == answer.status_code, answer.text
        made: dict[str, Any] = answer.json()
        return made


def _promote(tx: Tx, user: User) -> None:
    tx.change(replace(user, is_admin=True))


def unknown() -> str:
    """Give an id that nothing has."""
    return str(uuid.uuid4())
