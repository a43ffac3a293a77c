"""kill -9 at any moment of a load at all doors: nothing half made, twice, or lost though acknowledged."""

import asyncio
import os
import random
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from muster.assembly.parts import keyring_of
from muster.settings import load
from muster.store import doctor
from tests.journeys.kill_works import Work
from tests.journeys.kill_world import Target, every_work
from tests.journeys.receiver import Receiver
from tests.journeys.server import Server

IN_FLIGHT = 16


class Load:
    """Works at all doors without end and remembers what was acknowledged."""

    def __init__(self, server: Server, works: Sequence[Work], trusted: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[Work, str]] = []
        self._server = server
        self._works = works
        self._trusted = True if trusted is None else trusted

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._server.url, timeout=10, verify=self._trusted)

    async def until_killed(self, seconds: float) -> None:
        """Send many at once, and kill the server in the middle of it."""
        async with self._http() as http:
            workers = [asyncio.create_task(self._work(http)) for _ in range(IN_FLIGHT)]
            await asyncio.sleep(seconds)
            self._server.kill()
            await asyncio.gather(*workers)

    async def _work(self, http: httpx.AsyncClient) -> None:
        while True:
            work, name = self._works[len(self.asked) % len(self._works)], f"n-{len(self.asked)}"
            self.asked.append((work, name))
            try:
                await work.do(http, name)
            except httpx.TransportError:
                return

    async def verify(self, asked: list[tuple[Work, str]]) -> None:
        """What was acknowledged is still true; what was not becomes one whole thing by asking again."""
        async with self._http() as http:
            for work, name in asked:
                await work.do(http, name)
                await work.do(http, name)

    def count(self, work: Work) -> int:
        """Say how often that work was begun."""
        return sum(mine is work for mine, _ in self.asked)


def rounds(folder: Path, count: int, database: str | None) -> None:
    environment = {} if database is None else {"MUSTER_DATABASE_URL": database}
    chance = random.Random(4711)
    with Receiver() as receiver, Target(folder, **environment) as server:
        works = every_work(server, receiver)
        load_ = Load(server, works, server.trust())
        for _ in range(count):
            seen = len(load_.asked)
            asyncio.run(load_.until_killed(chance.uniform(0.02, 0.4)))
            server.start()
            asyncio.run(load_.verify(load_.asked[seen:]))
        print([(type(work).__name__, load_.count(work)) for work in works])
        with server.client() as http:
            for work in works:
                assert load_.count(work)
                work.expect(http, load_.count(work))
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
