"""Measure what is named, or everything; write bench/RESULTS.md. `quick` is a short run of the main rows."""

import contextlib
import importlib
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench import place, provisioning, rows
from bench.rows import Row

RESULTS = Path(__file__).parent / "RESULTS.md"
DATABASES = ("SQLite", "PostgreSQL")
Measure = Callable[[str], list[Row]]
"""Measures with the URL of a PostgreSQL."""


def on_both(measure: Callable[[place.World], list[Row]], *, has_broker: bool = False) -> Measure:
    """Measure on a fresh server with each database."""

    def both(postgres: str) -> list[Row]:
        found = []
        for database in DATABASES:
            with place.muster(database, postgres, has_broker=has_broker) as world:
                found += measure(world)
        return found

    return both


def _quick(world: place.World) -> list[Row]:
    return [*provisioning.mapping(world, tries=1), *provisioning.clients(world, tries=1)]


def _module(name: str) -> Iterator[tuple[str, Measure]]:
    """Find the measurements of a module that may not be there: its MEASUREMENTS, by name."""
    with contextlib.suppress(ModuleNotFoundError):
        yield from importlib.import_module(f"bench.{name}").MEASUREMENTS.items()


def measurements() -> dict[str, Measure]:
    """Give all measurements by name, in order."""
    found: dict[str, Measure] = {
        "generator": lambda _: provisioning.generator(),
        "start": lambda _: provisioning.start(),
        "mapping": on_both(provisioning.mapping),
        "clients": on_both(provisioning.clients),
        "refusals": on_both(provisioning.refusals),
        "bulk": on_both(provisioning.bulk),
    }
    for name in ("size", "messages", "pki", "hono"):
        found.update(_module(name))
    return found


def main(names: list[str]) -> int:
    """Run them; give the exit code."""
    known = {**measurements(), "quick": on_both(_quick)}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    place.pin()
    about, results, failed = place.machine(), _kept(names), 0
    with place.postgres() as postgres:
        for name in names or [name for name in known if name != "quick"]:
            started = time.perf_counter()
            print(f"{name} …", flush=True)
            try:
                lines = rows.table(known[name](postgres))
            except Exception:  # noqa: BLE001 the others can still be measured
                traceback.print_exc()
                lines, failed = ["could not be measured in this run"], failed + 1
            print("\n".join(lines), f"\n({time.perf_counter() - started:.0f} s)", flush=True)
            results[name] = lines
    if "quick" not in names:
        RESULTS.write_text(_page(about, results, known))
    return 1 if failed else 0


def _kept(names: list[str]) -> dict[str, list[str]]:
    """Give the tables of the last run that this run does not measure again."""
    if not names or not RESULTS.exists():
        return {}
    parts = re.split(r"^## ([\w-]+)\n", RESULTS.read_text(), flags=re.MULTILINE)[1:]
    return {name: text.strip().splitlines() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _page(about: Iterable[str], results: dict[str, list[str]], order: Iterable[str]) -> str:
    head = """# Results

Written by `make bench`; `python -m bench NAME…` measures anew what is named and keeps the rest.
Muster with its threads and its broker has core 0; the load generator and PostgreSQL have core 1. Loopback, no
TLS, every commit durable, authentication, validation and one log line a request on. *Goal*: what is aimed at.
*Limit*: what the same work cost with little around it. Compare rows of one run with each other: on a shared
machine another run may differ by a quarter.
"""
    sections = [f"## {name}\n\n" + "\n".join(results[name]) for name in order if name in results]
    return "\n".join([head, *about, "", "\n\n".join(sections), ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
