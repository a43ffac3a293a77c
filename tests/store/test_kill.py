"""Killed at any moment, a store has everything it acknowledged, and nothing by halves."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from muster.ca.secrets import Keyring
from muster.core import model as m
from muster.core.ports import ANYWHERE
from muster.store.doctor import examine
from muster.store.engine import open_store
from tests.store import victim
from tests.store.nouns import T1, tenant

pytestmark = pytest.mark.anyio
ROUNDS = 4


def killed_after(url: str, life: int, count: int) -> list[str]:
    """Start a process that writes; kill it after so many acknowledgements; give all it got out."""
    root = Path(victim.__file__).parents[2]
    command = [sys.executable, "-m", "tests.store.victim", url, str(life)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline().strip() for _ in range(count)]
        process.kill()
        said += process.stdout.read().splitlines()[:-1]  # the last may be cut short
    return [name for name in said if name]


async def test_what_was_acknowledged_is_there_and_whole(url, clock):
    """However often the process is killed."""
    keyring = Keyring(victim.MASTER_KEY)
    opened = open_store(url, keyring, clock)
    await opened.run(lambda tx: tx.add(tenant(T1)))
    opened.close()
    acknowledged: set[str] = set()
    for life in range(ROUNDS):
        acknowledged |= {*killed_after(url, life, random.randint(1, 300))}
        opened = open_store(url, keyring, clock)
        records = await opened.read(lambda tx: tx.select(m.ProvisionRecord, T1))
        counted = await opened.read(lambda tx: (tx.count(m.Device, T1), len(tx.select(m.Event, ANYWHERE))))
        opened.close()
        assert acknowledged <= {one.external_id for one in records}
        assert counted == (len(records), len(records))
        assert examine(url, keyring) == []
