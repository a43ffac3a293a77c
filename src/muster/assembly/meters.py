"""What /metrics shows of the store: how much waits, how large groups are, how long commits take."""

import asyncio
import contextlib

from prometheus_client import CollectorRegistry, Gauge, Histogram

from muster.core.errors import MusterError
from muster.core.model import Device, ProvisionRecord
from muster.core.ports import ANYWHERE, Tx
from muster.store.engine import AnyStore

COUNT_SECONDS = 5
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)


def watch(store: AnyStore, registry: CollectorRegistry) -> None:
    """Measure every commit, and the queue when asked."""
    size = Histogram("muster_commit_use_cases", "Use cases in one commit.", registry=registry, buckets=_SIZES)
    seconds = Histogram(
        "muster_commit_seconds",
        "From the begin of a group to its commit.",
        registry=registry,
        buckets=_SECONDS,
    )

    def committed(use_cases: int, duration: float) -> None:
        # Where several processes measure into one folder only what is set is seen: the last one's queue.
        waiting.set(store.depth)
        size.observe(use_cases)
        seconds.observe(duration)

    waiting = Gauge(
        "muster_store_waiting",
        "Use cases that wait for the database.",
        registry=registry,
        multiprocess_mode="mostrecent",
    )
    store.on_commit(committed)
    waiting.set_function(lambda: store.depth)


async def count(store: AnyStore, registry: CollectorRegistry) -> None:
    """Keep the counts of what is provisioned, until cancelled; they are kept sums, so this costs nothing."""
    gateways = Gauge(
        "muster_onboardings",
        "Gateways provisioned by one call and not taken back.",
        registry=registry,
        multiprocess_mode="mostrecent",
    )
    devices = Gauge(
        "muster_devices", "Devices of all tenants.", registry=registry, multiprocess_mode="mostrecent"
    )
    while True:
        with contextlib.suppress(MusterError):
            found = await store.read(_counts)
            gateways.set(found[0])
            devices.set(found[1])
        await asyncio.sleep(COUNT_SECONDS)


def _counts(tx: Tx) -> tuple[int, int]:
    return tx.count(ProvisionRecord, ANYWHERE), tx.count(Device, ANYWHERE)
