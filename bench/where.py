"""Where the time of a request goes: `python -m bench.where` writes bench/WHERE.md.

The real server runs with a profiler in each thread, which counts CPU time and not waiting. It makes small
functions look dearer than they are: read the shares as an order, not as a promise.
"""

import os
import pstats
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.journeys import server as journeys

from bench.load import Requests, drive, each, request, same
from bench.place import Measured, World
from bench.provisioning import client_request, mapping_request

FOUND = Path(__file__).parent / "WHERE.md"
STATS = "MUSTER_BENCH_STATS"
PARTS = {
    "SQLite itself": r"sqlite3\.",
    "seals and digests": r"hmac|hashlib|AESGCM|muster/ca/secrets",
    "log line and metrics": r"structlog|prometheus|observe\.py|BufferedWriter",
    "uvicorn, uvloop, asyncio": r"uvicorn|uvloop|asyncio|_asyncio|httptools|web/serve\.py|runners",
    "threads handing over": r"store/work\.py|SimpleQueue|threading|call_soon",
    "store: statements and rows": r"muster/store|<string>|sqlalchemy",
    "core": r"muster/core",
    "web: routes, bodies, replies": r"muster/web|litestar",
    "JSON": r"msgspec|json",
    "dialect": r"muster/dialects",
}


class Profiled(Measured):
    """A Muster with a profiler in each thread."""

    stats: Path

    def start(self) -> "Profiled":
        real: Callable[..., Any] = subprocess.Popen

        def popen(command: list[str], **more: Any) -> Any:
            more["env"] = {**more["env"], "PYTHONPATH": str(Path.cwd()), STATS: str(self.stats)}
            return real([command[0], "-m", "bench.profiled", *command[3:]], **more)

        journeys.subprocess.Popen = popen  # type: ignore[assignment,misc]
        try:
            super().start()
        finally:
            journeys.subprocess.Popen = real  # type: ignore[misc]
        return self


def loads(world: World) -> Iterator[tuple[str, Requests, int]]:
    """Give the requests whose time is taken apart."""
    with world.http() as http:
        asked = {"external_id": f"b-{uuid.uuid4().hex}", "external_key": "k"}
        http.post(f"/{world.domain}/mapping", json=asked).raise_for_status()
        for number in range(12):
            http.post(f"/{world.domain}/clients", json={"name": f"c{number}"}).raise_for_status()
    yield "POST /mapping", each(mapping_request(world)), 201
    yield "create one client", each(client_request(world)), 201
    yield "list of 10 clients", same(world.ask("GET", "/{domain}/clients?limit=10")), 200
    yield (
        "bootstrap fetch",
        same(request("GET", f"/clients/bootstrap/{asked['external_id']}", "Client k")),
        200,
    )


def share(stats: Path) -> Counter[str]:
    """Sum the time of all threads by part."""
    found: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(str(stats)).stats.items():  # type: ignore[attr-defined]
        place = f"{file} {name}"
        found[next((part for part, pattern in PARTS.items() if re.search(pattern, place)), "other")] += own
    return found


def measure(position: int) -> tuple[str, int, Counter[str]]:
    """Load a fresh server with one kind of request; what its start took is taken off."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-", dir=Path.cwd()) as folder:
        server = Profiled(
            Path(folder), MUSTER_THROTTLE_ATTEMPTS="1000000", MUSTER_MASTER_KEY=secrets.token_urlsafe(32)
        )
        server.stats = Path(folder) / "stats"
        with server:
            name, requests, status = list(loads(World(server, "SQLite")))[position]
            os.kill(server.pid, signal.SIGUSR1)  # from here on
            count = len(drive(server.port, requests, seconds=5, status=status).latencies)
        return name, count, share(server.stats)


def main() -> None:
    """Write the table."""
    found = [measure(position) for position in range(4)]
    lines = [(__doc__ or "").partition(": ")[0] + ", SQLite, shares of all CPU time", ""]
    lines += ["| part | " + " | ".join(name for name, _, _ in found) + " |", "|---|" + "---:|" * len(found)]
    for part in (*PARTS, "other"):
        cells = [f"{times[part] / times.total():.0%}" for _, _, times in found]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    FOUND.write_text("\n".join(lines) + "\n")
    print(FOUND.read_text())


if __name__ == "__main__":
    sys.exit(main())
