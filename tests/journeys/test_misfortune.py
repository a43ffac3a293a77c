"""What happens to every server one day: told to stop in the middle of work, no room left on the disk."""

import asyncio
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.journeys.server import Server, new_domain, new_user
from tests.journeys.test_kill import findings

IN_FLIGHT, BEGUN = 32, 200
ROOM = 256 * 1024


class Gateways:
    """Maps gateways, remembers every answer."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.token = new_user(server, "jane")
        self.path = f"/{new_domain(server, self.token, 'plant')}/mapping"
        self.answers: dict[str, httpx.Response] = {}
        self.have_begun = asyncio.Event()

    def client(self) -> httpx.AsyncClient:
        """Give an HTTP client of the owner's."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(base_url=self.server.url, headers=headers, timeout=30)

    async def map(self, http: httpx.AsyncClient, name: str, more: str = "") -> int:
        """Map one; give the status."""
        body = {"external_id": name, "external_key": f"key of {name}", "metadata": {"more": more}}
        answer = await http.post(self.path, json=body)
        self.answers[name] = answer
        if len(self.answers) >= BEGUN:
            self.have_begun.set()
        return answer.status_code

    async def until_it_stops(self, http: httpx.AsyncClient, worker: int) -> None:
        """Map one after another until nobody answers any more."""
        for count in range(100_000):
            try:
                status = await self.map(http, f"{worker}-{count}")
            except httpx.TransportError:
                return
            assert status in (201, 503), self.answers[f"{worker}-{count}"].text
        raise AssertionError("the server did not stop")

    async def still_true(self) -> None:
        """Assert that what was acknowledged is there as it was, and what was refused is not."""
        acknowledged = {name: one for name, one in self.answers.items() if one.status_code == 201}
        async with self.client() as http:
            for before in acknowledged.values():
                again = await http.send(before.request)
                assert (201, before.content) == (again.status_code, again.content)
            total = (await http.get(self.path.replace("mapping", "clients"), params={"limit": 1})).json()
        assert len(acknowledged) == total["total"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_stop_under_load_finishes_what_was_accepted(
    tmp_path: Path, kind: str, database_url: Callable[..., str]
) -> None:
    """Exit code 0; each answer that left is 201 and true ever after, or 503 and nothing happened."""
    environment = {} if kind == "sqlite" else {"MUSTER_DATABASE_URL": database_url(kind)}

    async def load(gateways: Gateways) -> int:
        async with gateways.client() as http:
            workers = [asyncio.create_task(gateways.until_it_stops(http, n)) for n in range(IN_FLIGHT)]
            await gateways.have_begun.wait()
            code = await asyncio.to_thread(gateways.server.stop)
            await asyncio.gather(*workers)
            return code

    with Server(tmp_path, **environment) as server:
        gateways = Gateways(server)
        assert 0 == asyncio.run(load(gateways))
        assert [] == findings(server, environment)
        server.start()
        asyncio.run(gateways.still_true())


def test_a_hang_up_of_the_terminal_is_a_stop(tmp_path: Path) -> None:
    """SIGHUP: whoever closes the window finds everything in order."""
    with Server(tmp_path) as server:
        assert 0 == server.stop(signal.SIGHUP)


def test_a_full_disk_is_503_and_nothing_half_done(tmp_path: Path) -> None:
    """Reading goes on; as soon as there is room, writing does, without a restart."""

    async def story(gateways: Gateways) -> None:
        data = gateways.server.folder / "data"
        async with gateways.client() as http:
            assert 201 == await gateways.map(http, "before")
            largest = max(each.stat().st_size for each in data.iterdir())
            resource.prlimit(gateways.server.pid, resource.RLIMIT_FSIZE, (largest + ROOM, -1))
            count, status = 0, 201
            while status == 201:
                count += 1
                assert count < 1000, "the disk never became full"
                status = await gateways.map(http, f"full-{count}", "x" * 20_000)
            assert 503 == status, gateways.answers[f"full-{count}"].text
            assert 200 == (await http.get(gateways.path.replace("mapping", "clients"))).status_code
            assert 503 == await gateways.map(http, "still full", "x" * 20_000)
            resource.prlimit(gateways.server.pid, resource.RLIMIT_FSIZE, (-1, -1))
            assert 201 == await gateways.map(http, "after")

    with Server(tmp_path) as server:
        gateways = Gateways(server)
        asyncio.run(story(gateways))
        asyncio.run(gateways.still_true())
        server.stop()
        assert [] == findings(server, {})
        server.start()
        asyncio.run(gateways.still_true())
