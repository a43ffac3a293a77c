"""kill -9 at any moment of a load of mappings: nothing half made, twice, or lost though acknowledged."""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from muster.assembly.parts import keyring_of
from muster.settings import load
from muster.store import doctor
from tests.journeys.server import Server, new_domain, new_user

IN_FLIGHT = 16


class Load:
    """Provisions gateways without end and remembers what was acknowledged."""

    def __init__(self, server: Server, token: str, domain: str) -> None:
        self.acknowledged: dict[str, bytes] = {}
        self.asked: list[str] = []
        self._server = server
        self._token = token
        self._path = f"/{domain}/mapping"

    async def until_killed(self, seconds: float) -> None:
        """Send many at once, and kill the server in the middle of it."""
        async with httpx.AsyncClient(base_url=self._server.url, timeout=10) as http:
            workers = [asyncio.create_task(self._work(http)) for _ in range(IN_FLIGHT)]
            await asyncio.sleep(seconds)
            self._server.kill()
            await asyncio.gather(*workers)

    async def _work(self, http: httpx.AsyncClient) -> None:
        while True:
            external_id = f"gw-{len(self.asked)}"
            self.asked.append(external_id)
            try:
                answer = await self.post(http, external_id)
            except httpx.TransportError:
                return
            assert 201 == answer.status_code, answer.text
            self.acknowledged[external_id] = answer.content

    async def post(self, http: httpx.AsyncClient, external_id: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"}
        body = {"external_id": external_id, "external_key": f"key of {external_id}"}
        return await http.post(self._path, json=body, headers=headers)

    async def verify(self, asked: list[str]) -> None:
        """What was acknowledged is answered the same; what was not becomes one whole thing."""
        async with httpx.AsyncClient(base_url=self._server.url, timeout=10) as http:
            for external_id in asked:
                answer = await self.post(http, external_id)
                again = await self.post(http, external_id)
                assert (201, 201) == (answer.status_code, again.status_code), answer.text
                assert answer.content == again.content
                assert self.acknowledged.setdefault(external_id, answer.content) == answer.content


def rounds(folder: Path, count: int, database: str | None) -> None:
    environment = {} if database is None else {"MUSTER_DATABASE_URL": database}
    chance = random.Random(4711)
    with Server(folder, **environment) as server:
        token = new_user(server, "jane")
        load_ = Load(server, token, new_domain(server, token, "plant"))
        for _ in range(count):
            seen = len(load_.asked)
            asyncio.run(load_.until_killed(chance.uniform(0.02, 0.4)))
            server.start()
            asyncio.run(load_.verify(load_.asked[seen:]))
        with server.client(token) as http:
            total = http.get(f"{load_._path.removesuffix('/mapping')}/clients?limit=1").json()["total"]
        assert len(set(load_.asked)) == total
        server.stop()
        assert [] == findings(server, environment)
        server.start()


def findings(server: Server, environment: dict[str, str]) -> list[doctor.Finding]:
    settings = load({**environment, "MUSTER_DATA_DIR": str(server.folder / "data")}).settings
    url = environment.get("MUSTER_DATABASE_URL", f"sqlite:///{server.folder / 'data' / 'muster.db'}")
    return doctor.examine(url, keyring_of(settings))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_kill_at_random_moments(tmp_path: Path, kind: str, database_url: Callable[..., str]) -> None:
    """Five kills on each database: 0 orphans, 0 duplicates, every acknowledged answer still true."""
    rounds(tmp_path, 5, None if kind == "sqlite" else database_url(kind))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_kill_a_hundred_times(tmp_path: Path, kind: str, database_url: Callable[..., str]) -> None:
    """The same, 100 times on each database; MUSTER_KILLS sets another number."""
    count = int(os.environ.get("MUSTER_KILLS", "100"))
    rounds(tmp_path, count, None if kind == "sqlite" else database_url(kind))
