"""The Hono door over a real store, called in process; and the CAs of its tenants."""

import asyncio
import base64
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from muster.assembly.certificates import Certificates
from muster.ca.passwords import PasswordPool
from muster.ca.secrets import Keyring
from muster.ca.tokens import Tokens
from muster.core import users
from muster.core.model import JournalEntry, TenantId, User
from muster.core.ports import Order
from muster.core.throttle import Throttle
from muster.dialects.hono import door
from muster.dialects.hono.logins import Logins
from muster.dialects.hono.options import Options
from muster.store.engine import AnyStore
from muster.web import app
from muster.web.observe import json_logger

PASSWORD = "correct horse battery"


@dataclass
class Door:
    """One admin, many callers."""

    store: AnyStore
    keyring: Keyring
    clock: Any
    max_body: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        self.passwords = PasswordPool()
        self.tokens = Tokens(self.keyring)
        throttle = Throttle(limit=5, period=60)
        self.options = Options(certificates=Certificates(), hash_password=self.passwords.hash)
        self.logins = Logins(self.store, self.passwords, throttle, self.clock)
        self._admin: User | None = None
        self.rebuild()

    def rebuild(self) -> None:
        """Open the door with the options as they are now."""
        self.app = app.build(
            [door.dialect(self.options, self.logins)],
            store=self.store,
            tokens=self.tokens,
            passwords=self.passwords,
            clock=self.clock,
            registry=CollectorRegistry(),
            log=json_logger(),
            limits=app.Limits(body=self.max_body),
        )

    async def user(self, *, is_admin: bool = False, name: str = "") -> User:
        name = name or f"u{uuid.uuid4().hex[:12]}"
        new = users.NewUser(
            username=name,
            email=f"{name}@example.com",
            password=await self.passwords.hash(PASSWORD),
            is_admin=is_admin,
        )
        return await self.store.run(lambda tx: users.add_user(tx, new, actor="test"))

    def bearer(self, user: User) -> str:
        now = self.clock() // 1_000_000
        said = {"iss": "supermq.auth", "iat": now, "exp": now + 3600, "type": 0}
        return "Bearer " + self.tokens.mint({**said, "user": user.id, "epoch": user.epoch})

    async def admin(self) -> User:
        if self._admin is None:
            self._admin = await self.user(is_admin=True)
        return self._admin

    async def __call__(
        self, method: str, path: str, *, user: User | None = None, headers: Any = None, **request: Any
    ) -> httpx.Response:
        """Call as the admin, or as *user*; as nobody with an empty Authorization."""
        given = {"Authorization": self.bearer(user or await self.admin()), **(headers or {})}
        given = {name: value for name, value in given.items() if value}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=given, **request)

    async def journal(self, tenant: str) -> list[JournalEntry]:
        """Give what the journal tells of a tenant, in order."""
        order = Order("at")
        return await self.store.read(lambda tx: tx.select(JournalEntry, TenantId(tenant), order=order))

    async def together(self, *calls: Any) -> list[httpx.Response]:
        return await asyncio.gather(*calls)

    async def tenant(self, name: str = "", **body: Any) -> str:
        name = name or f"t{uuid.uuid4().hex[:10]}"
        answer = await self("POST", f"/v1/tenants/{name}", json=body)
        assert answer.status_code == 201, answer.text
        return name

    async def device(self, tenant: str, name: str = "", **body: Any) -> str:
        name = name or f"d{uuid.uuid4().hex[:10]}"
        answer = await self("POST", f"/v1/devices/{tenant}/{name}", json=body)
        assert answer.status_code == 201, answer.text
        return name


def basic(name: str, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
