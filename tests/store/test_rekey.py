"""Another master key: everything under it in the end, and everything found on the way, on both databases."""

import asyncio
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from muster.ca.secrets import Keyring
from muster.core import model as m
from muster.core.errors import Conflict, Unavailable
from muster.core.ports import ANYWHERE, Is, OneOf
from muster.store import masterkeys, rekey
from muster.store.doctor import examine, fits
from muster.store.engine import open_store
from muster.store.nouns import SHAPES
from muster.store.rekey import in_use
from tests.store import rekeying
from tests.store.nouns import T1, T2, config, device, tenant
from tests.store.rekeying import NEW, OLD
from tests.store.test_upkeep import WHOLE, execute

pytestmark = pytest.mark.anyio
BEFORE, BOTH, AFTER = Keyring(OLD), Keyring(NEW, OLD), Keyring(NEW)
(OLD_ID,), (NEW_ID,) = BEFORE.key_ids, AFTER.key_ids
NOW = m.Instant(7)


def change(url: str, ring: Keyring = BOTH) -> rekey.Outcome:
    return rekey.rekey(url, ring, NOW, lambda *_: None)


async def written(url, clock, *nouns, ring=BEFORE) -> None:
    """Write under the old master key."""
    opened = open_store(url, ring, clock)
    await opened.run(lambda tx: tx.add(*nouns))
    await asyncio.to_thread(opened.close)


def with_secret(own_id: str, plain: str, **over) -> m.Device:
    return device(own_id, secret=m.Secret(plain), **over)


async def test_everything_is_there_under_the_new_key_alone(url, clock):
    """Whatever is sealed opens with it, whatever is found is found by it, and the old key may go."""
    await written(url, clock, *(noun for noun in WHOLE if not isinstance(noun, m.Invitation)))
    outcome = change(url)
    assert (outcome.unopened, outcome.clashing) == ([], [])
    assert OLD_ID in outcome.retired
    assert examine(url, AFTER) == []
    used = in_use(url, AFTER)
    assert [*used] == [NEW_ID]
    assert used[NEW_ID].sealed >= sum(len(shape.sealed) for shape in SHAPES.values())
    opened = open_store(url, AFTER, clock)
    for noun in WHOLE:
        held = [getattr(noun, field) for field in SHAPES[type(noun)].found]
        for field, secret in zip(SHAPES[type(noun)].found, held, strict=True):
            if secret is not None:
                found = await opened.read(
                    lambda tx, n=noun, f=field, s=secret: tx.find(type(n), ANYWHERE, **{f: s})
                )
                assert found == noun
    await asyncio.to_thread(opened.close)


async def test_nothing_is_left_to_do_the_second_time(url, clock):
    """And the first time says how much there was."""
    await written(url, clock, with_secret("d1", "s3cret"), with_secret("d2", "0ther"))
    first, second = change(url), change(url)
    assert (first.hashed, second.hashed, second.sealed) == (2, 0, 0)
    assert first.sealed >= 2


async def test_what_nobody_keeps_in_clear_is_found_by_the_former_hash_key(url, clock):
    """An API key is only hashed: the hash key stays when its master key goes."""
    digest = BEFORE.digest("api-key", "mk_1")
    await written(
        url, clock, m.ApiKey(id=m.KeyId("k1"), user_id=m.UserId("u1"), digest=digest, issued_at=NOW)
    )
    change(url)
    opened = open_store(url, AFTER.knowing(masterkeys.former(url, AFTER)), clock)
    digests = await opened.read(lambda tx: tx.digests("api-key", "mk_1"))
    await asyncio.to_thread(opened.close)
    assert digests == (AFTER.digest("api-key", "mk_1"), digest)


async def test_a_device_is_found_by_either_hash(url, clock):
    """While both keys are given: by its secret alone, among several, and together with other fields."""
    await written(url, clock, with_secret("d1", "first"), config("d1", "gw", "key"))
    opened = open_store(url, BOTH, clock)
    await opened.run(lambda tx: tx.add(with_secret("d2", "second")))

    def look(tx):
        secrets = [m.Secret("first"), m.Secret("second"), m.Secret("third")]
        return (
            [one.id for secret in secrets if (one := tx.find(m.Device, T1, secret=secret))],
            sorted(one.id for one in tx.select(m.Device, ANYWHERE, OneOf("secret", secrets))),
            tx.count(m.Device, ANYWHERE, Is("secret", secrets[0])),
            tx.find(m.BootstrapConfig, ANYWHERE, external_id="gw", external_key=m.Secret("key")).device_id,
        )

    assert await opened.read(look) == (["d1", "d2"], ["d1", "d2"], 1, "d1")
    await asyncio.to_thread(opened.close)


async def test_a_secret_is_nobody_elses_under_whichever_key(url, clock):
    """A taken secret is refused as ever; in another tenant, or for its own device, none is taken."""
    await written(url, clock, tenant(T2), with_secret("d1", "s3cret"), config("d1", "gw", "key"))
    opened = open_store(url, BOTH, clock)
    with pytest.raises(Conflict, match="a device with this secret exists already"):
        await opened.run(lambda tx: tx.add(with_secret("d2", "s3cret")))
    await opened.run(lambda tx: tx.add(with_secret("d2", "0ther"), with_secret("d1", "s3cret", tenant_id=T2)))
    with pytest.raises(Conflict, match="a device with this secret exists already"):
        await opened.run(lambda tx: tx.change(with_secret("d2", "s3cret")))
    with pytest.raises(Conflict, match="external_id and external_key"):
        await opened.run(lambda tx: tx.add(config("d2", "gw", "key")))
    await opened.run(lambda tx: tx.change(with_secret("d1", "s3cret", name="new")))
    await asyncio.to_thread(opened.close)
    assert change(url).clashing == []
    assert examine(url, AFTER)[0].table == "devices"  # the tenants of these tests are not all there
    assert [one for one in examine(url, AFTER) if "open" in one.problem or "digest" in one.problem] == []


async def test_servers_go_on_meanwhile(url, clock):
    """What they add, change and read while the key changes is there, under the new key."""
    await written(url, clock, *(with_secret(f"d{n}", f"secret {n}") for n in range(700)))
    opened = open_store(url, BOTH, clock)
    changing = asyncio.create_task(asyncio.to_thread(change, url))
    count = 0
    while not changing.done() or count < 20:
        asked = random.randrange(700)
        held = await opened.read(lambda tx, n=asked: tx.find(m.Device, T1, secret=m.Secret(f"secret {n}")))
        assert held is not None
        assert held.id == f"d{asked}"
        await opened.run(lambda tx, one=held: tx.change(replace(one, name="seen")))
        await opened.run(lambda tx, n=count: tx.add(with_secret(f"new{n}", f"new secret {n}")))
        count += 1
    outcome = await changing
    await asyncio.to_thread(opened.close)
    assert OLD_ID in outcome.retired
    assert [one for one in examine(url, AFTER) if "tenant_id" not in one.problem] == []
    assert [*in_use(url, AFTER)] == [NEW_ID]


async def test_a_server_that_lacks_the_new_key_stops_the_change(url, clock):
    """It could not open what is sealed anew; nothing was touched, and it need only be started again."""
    await written(url, clock, with_secret("d1", "s3cret"))
    for ring in (BEFORE, Keyring(OLD, NEW)):
        opened = open_store(url, ring, clock)
        await opened.read(lambda tx: tx.get(m.Device, T1, "d1"))
        with pytest.raises(Unavailable, match=f"does not seal with the master key {NEW_ID}"):
            await asyncio.to_thread(change, url)
        await asyncio.to_thread(opened.close)
    assert in_use(url, BOTH)[OLD_ID] == rekey.InUse(sealed=1, hashed=1)


async def test_no_server_starts_without_a_key_that_is_needed(url, clock):
    """Before, during and after: each time exactly the keys that are in use must be given."""
    await written(url, clock, with_secret("d1", "s3cret"))
    masterkeys.admit(url, BEFORE, NOW)
    with pytest.raises(Unavailable, match=f"{OLD_ID} is missing"):
        masterkeys.admit(url, AFTER, NOW)
    masterkeys.admit(url, Keyring(OLD, NEW), NOW)
    masterkeys.admit(url, BEFORE, NOW)  # so far the new key only waits to open what others seal
    masterkeys.admit(url, BOTH, NOW)
    with pytest.raises(Unavailable, match=f"{NEW_ID} is missing"):
        masterkeys.admit(url, BEFORE, NOW)
    change(url)
    masterkeys.admit(url, AFTER, NOW)
    with pytest.raises(Unavailable, match=f"{NEW_ID} is missing"):
        masterkeys.admit(url, BEFORE, NOW)
    assert fits(url, AFTER)


async def test_a_key_may_come_back(url, clock):
    """Changed there and back, the first key is the one that must stay."""
    await written(url, clock, with_secret("d1", "s3cret"))
    change(url)
    assert NEW_ID in change(url, Keyring(OLD, NEW)).retired
    masterkeys.admit(url, BEFORE, NOW)
    assert [*in_use(url, BEFORE)] == [OLD_ID]


async def test_what_does_not_open_keeps_the_old_key(url, clock):
    """It is named, without what is in it; the rest is done."""
    await written(url, clock, with_secret("d1", "s3cret"), with_secret("d2", "0ther"))
    execute(url, "UPDATE devices SET id = 'moved' WHERE id = 'd1'")
    outcome = change(url)
    assert (outcome.unopened, outcome.retired) == (["devices moved t-one secret"], ())
    assert in_use(url, BOTH)[OLD_ID] == rekey.InUse(sealed=1, hashed=0)


async def test_a_secret_that_is_there_twice_is_told(url, clock):
    """As two servers can make it that do not have the same key first."""
    await written(url, clock, with_secret("d1", "s3cret"))
    await written(url, clock, with_secret("d2", "s3cret"), ring=AFTER)
    outcome = change(url)
    assert (outcome.clashing, outcome.retired) == (["devices d1 t-one"], ())


def killed_after(url: str, steps: int) -> str:
    """Change the key in a process of its own, killed after so many steps; give its last word."""
    root = Path(rekeying.__file__).parents[2]
    command = [sys.executable, "-m", "tests.store.rekeying", url]
    said = [""]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        while len(said) <= steps and (line := process.stdout.readline()):
            said.append(line)
        process.kill()
    return said[-1]


async def test_killed_at_any_line_it_goes_on_where_it_was(url, clock):
    """And in between every device is found, by one hash or the other."""
    secrets = {f"d{n:03}": f"secret {n}" for n in range(120)}
    await written(url, clock, *(with_secret(*pair) for pair in secrets.items()))
    for steps in (1, random.randint(2, 12), random.randint(2, 25)):
        killed_after(url, steps)
        opened = open_store(url, BOTH, clock)
        for own_id, plain in secrets.items():
            held = await opened.read(lambda tx, p=plain: tx.find(m.Device, T1, secret=m.Secret(p)))
            assert held is not None
            assert held.id == own_id
        await asyncio.to_thread(opened.close)
    assert f"retired {OLD_ID}" in killed_after(url, 10**6)
    assert [*in_use(url, AFTER)] == [NEW_ID]
    assert in_use(url, AFTER)[NEW_ID].hashed == len(secrets)
