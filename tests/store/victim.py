"""Writes mappings until it is killed, and says which were acknowledged. Run by test_kill.py."""

import asyncio
import sys
import time

from muster.ca.secrets import Keyring
from muster.core import model as m
from muster.store.engine import open_store
from tests.store.nouns import channel, config, connection, device, entry, event, record

MASTER_KEY = b"a master key of tests, 32 bytes at least"


def mapping(tx, name: str) -> str:
    made = [device(tx.new_id(), secret=m.Secret(tx.new_secret()), mapping_id=name)]
    made += [channel(tx.new_id(), mapping_id=name) for _ in range(2)]
    gateway, channels = made[0].id, tuple(one.id for one in made[1:])
    tx.add(
        *made,
        *(connection(one, gateway) for one in channels),
        config(gateway, name, channels=channels),
        record(name, device_ids=(gateway,), channel_ids=channels),
        entry(tx.new_id(), entity_id=gateway),
    )
    tx.emit(event(gateway))
    return name


async def write(store, worker: str) -> None:
    for number in range(10**6):
        name = await store.run(mapping, f"{worker}-{number}")
        print(name, flush=True)


async def main(url: str, life: str) -> None:
    store = open_store(url, Keyring(MASTER_KEY), lambda: m.Instant(time.time_ns() // 1000))
    await asyncio.gather(*(write(store, f"{life}-{worker}") for worker in range(16)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
