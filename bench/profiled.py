"""Muster with a profiler in each thread: `MUSTER_BENCH_STATS=FILE python -m bench.profiled serve`.

CPU time, not waiting. SIGUSR1 begins anew. FILE is for pstats.
"""

import cProfile
import os
import pstats
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from muster.__main__ import main

_profiles: list[cProfile.Profile] = []


def _begin(*_: Any) -> None:
    """Begin with a thread's first call."""
    sys.setprofile(None)
    profile = cProfile.Profile(time.thread_time)
    _profiles.append(profile)
    profile.enable()


def _anew(*_: Any) -> None:
    for profile in _profiles:
        profile.clear()


if __name__ == "__main__":
    target = Path(os.environ.pop("MUSTER_BENCH_STATS"))
    signal.signal(signal.SIGUSR1, _anew)
    threading.setprofile(_begin)
    _begin()
    try:
        main()
    finally:
        sys.setprofile(None)
        for each in _profiles:
            each.create_stats()
        pstats.Stats(*_profiles).dump_stats(target)
