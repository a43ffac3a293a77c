"""Muster with a profiler in each thread: `python -m bench.profiled FILE serve` writes what calls cost."""

import cProfile
import io
import pstats
import sys
import threading
from pathlib import Path
from typing import Any

from muster.__main__ import main

FUNCTIONS = 45
_profiles: dict[str, list[cProfile.Profile]] = {}


def _begin(*_: Any) -> None:
    """Begin with a thread's first call."""
    sys.setprofile(None)
    profile = cProfile.Profile()
    name = threading.current_thread().name.rstrip("0123456789-_")
    _profiles.setdefault(name, []).append(profile)
    profile.enable()


def _report() -> str:
    text = io.StringIO()
    for name, profiles in _profiles.items():
        for profile in profiles:
            profile.create_stats()
        stats = pstats.Stats(*profiles, stream=text)
        text.write(f"\n=== {name}\n")
        stats.sort_stats("tottime").print_stats(FUNCTIONS)
        stats.sort_stats("cumtime").print_stats(FUNCTIONS)
    return text.getvalue()


if __name__ == "__main__":
    target = Path(sys.argv.pop(1))
    threading.setprofile(_begin)
    _begin()
    try:
        main()
    finally:
        sys.setprofile(None)
        target.write_text(_report())
