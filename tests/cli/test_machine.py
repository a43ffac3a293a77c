"""Verbs of the machine's owner: settings, database, doctor, recovery."""

import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from secrets import token_urlsafe

import pytest

from muster.core import users
from muster.store.engine import AnyStore
from muster.store.lookup import find_user
from tests.cli.conftest import Person, Shell
from tests.journeys.server import Server, login, new_domain, new_user
from tests.ports import free_port

KEY = token_urlsafe(32)


@pytest.fixture
def machine(tmp_path: Path) -> Shell:
    """Give a command line on a machine with an empty data folder."""
    return Shell(tmp_path, MUSTER_DATA_DIR=str(tmp_path / "data"), MUSTER_MASTER_KEY=KEY)


def test_settings_are_shown_with_their_sources(machine: Shell) -> None:
    """As a table and as JSON, secrets hidden."""
    table = machine("config").out
    assert "MUSTER_DATA_DIR" in table
    assert KEY not in table
    told = {row["setting"]: row for row in machine.json("config")["settings"]}
    assert (str(machine.folder / "data"), "MUSTER_DATA_DIR") == (
        told["data_dir"]["value"],
        told["data_dir"]["from"],
    )
    assert KEY not in told["master_key"]["value"]


def test_settings_that_are_wrong_are_told(machine: Shell) -> None:
    """All at once, with the exit code of a wrong command line."""
    machine.environment["MUSTER_WORKERS"] = "many"
    for words in (("config",), ("serve",), ("db", "check"), ("doctor",), ("users", "recover", "admin")):
        machine.try_(*words).refused("MUSTER_WORKERS", code=2)


def test_a_database_is_made_checked_saved_and_put_back(machine: Shell) -> None:
    """Every verb of db."""
    machine.try_("db", "check").refused("muster db upgrade")
    assert "was at version none" in machine("db", "upgrade").err
    assert "as it must be" in machine("db", "check").err
    copy = machine.folder / "copy.db"
    assert "master key" in machine("db", "backup", str(copy)).err
    machine.try_("db", "backup", str(copy)).refused("exists already")
    machine("db", "restore", str(copy))
    machine.try_("db", "restore", str(machine.folder / "nothing")).refused("does not exist")
    machine.try_("db", "restore", machine.file("no.db", "no database")).refused("not a database of Muster")
    assert "sealed anew: 0 values" in machine("db", "rekey").err
    told = machine.json("doctor")
    assert ([], 1) == (told["findings"], len(told["master_keys"]))


def test_a_copy_taken_from_a_running_server_brings_everything_back(tmp_path: Path) -> None:
    """What was there when it was taken, and nothing of what came later."""
    owner = Shell(tmp_path, MUSTER_DATA_DIR=str(tmp_path / "data"))
    copy = str(tmp_path / "copy.db")
    with Server(tmp_path) as server:
        token = new_user(server, "jane")
        domain = new_domain(server, token, "plant")
        owner("db", "backup", copy)
        new_domain(server, token, "later")
        assert "nothing is half made" in owner("doctor").err
        owner.try_("db", "restore", copy).refused("in use")
        owner.try_("db", "upgrade").refused("in use")
    owner("db", "restore", copy)
    assert "nothing is half made" in owner("doctor").err
    with Server(tmp_path) as server, server.client(login(server, "jane", "12345678")) as http:
        found = http.get("/domains", params={"name": "plant"}).json()["domains"]
        later = http.get("/domains", params={"name": "later"}).json()["domains"]
    assert ([domain], []) == ([row["id"] for row in found], later)


def test_a_lost_master_key_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    """A new one would open nothing: no command makes it, and with another one no server starts."""
    owner = Shell(tmp_path, MUSTER_DATA_DIR=str(tmp_path / "data"))
    with Server(tmp_path) as server:
        new_domain(server, new_user(server, "jane"), "plant")
    file = tmp_path / "data" / "master.key"
    file.rename(tmp_path / "kept.key")
    for words in (("doctor",), ("serve",), ("users", "recover", "jane")):
        owner.try_(*words).refused(f"there is no key file {file}", "MUSTER_MASTER_KEY")
    assert not file.exists()
    owner.environment["MUSTER_MASTER_KEY"] = KEY
    owner.try_("serve").refused("sealed with another master key")
    assert "does not open" in owner.try_("doctor").out
    owner.environment["MUSTER_MASTER_KEY"] = f"{KEY},{(tmp_path / 'kept.key').read_text().strip()}"
    owner("doctor")


def test_a_master_key_that_cannot_be_one_is_named(machine: Shell) -> None:
    """By its variable."""
    machine("db", "upgrade")
    machine.environment["MUSTER_MASTER_KEY"] = "short"
    machine.try_("doctor").refused("MUSTER_MASTER_KEY: master key 1")


@pytest.mark.parametrize("verb", [("serve",), ("doctor",), ("db", "check"), ("db", "upgrade")])
def test_a_damaged_database_is_told_in_a_sentence(machine: Shell, verb: tuple[str, ...]) -> None:
    """With the file's name; it is no fault of the program."""
    (machine.folder / "data").mkdir()
    (machine.folder / "data" / "muster.db").write_bytes(b"what was left after the disk failed" * 1000)
    machine.try_(*verb).refused("muster.db is damaged or no database")


@pytest.mark.parametrize(
    "verb", [("doctor",), ("users", "recover", "jane"), ("db", "backup", "copy.db"), ("db", "check")]
)
def test_looking_where_there_is_no_database_makes_none(tmp_path: Path, verb: tuple[str, ...]) -> None:
    """Whoever stands in the wrong folder is told; neither a file nor a key appears."""
    owner = Shell(tmp_path, MUSTER_DATA_DIR=str(tmp_path / "data"))
    asked = "muster db upgrade" if verb == ("db", "check") else "there is no database file"
    owner.try_(*verb).refused(asked)
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    owner.try_(*verb).refused(asked)
    assert [] == list((tmp_path / "data").iterdir())


def test_a_database_that_does_not_answer_is_named_without_its_password(machine: Shell) -> None:
    """Host, port and reason."""
    nobody = free_port()
    machine.environment["MUSTER_DATABASE_URL"] = f"postgresql://muster:s3cret@127.0.0.1:{nobody}/muster"
    ran = machine.try_("db", "check").refused("127.0.0.1/muster", str(nobody), "refused")
    assert "s3cret" not in ran.err


def test_a_check_says_one_thing(machine: Shell) -> None:
    """Nothing of the tools below."""
    machine("db", "upgrade")
    command = [sys.executable, "-m", "muster", "db", "check"]
    ran = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=True)
    assert "" == ran.stdout
    assert 1 == len(ran.stderr.splitlines())


def test_a_copy_is_nobody_elses(machine: Shell) -> None:
    """Its mode says so; what stands in its way is named; a folder's name may be odd."""
    machine.environment["MUSTER_DATA_DIR"] = str(machine.folder / "da%41ta #1?")
    machine("db", "upgrade")
    copy = machine.folder / "copy.db"
    machine("db", "backup", str(copy))
    assert 0o600 == copy.stat().st_mode & 0o777
    machine.try_("db", "backup", "/nowhere/copy.db").refused("the folder /nowhere does not exist")
    with contextlib.closing(sqlite3.connect(machine.folder / "other.db")) as other:
        other.execute("CREATE TABLE t (a)")
    machine.try_("db", "restore", str(machine.folder / "other.db")).refused("not a database of Muster")


def test_findings_do_not_steer_the_terminal(machine: Shell) -> None:
    """What devices are called is shown escaped."""
    machine("db", "upgrade")
    with contextlib.closing(sqlite3.connect(machine.folder / "data" / "muster.db")) as database:
        database.execute("INSERT INTO tallies VALUES ('devices', 'a\x1b[31m\nb', 'enabled', 5)")
        database.commit()
    assert r"a\x1b[31m\nb" in machine.try_("doctor").out


def test_the_doctor_tells_what_is_wrong(machine: Shell) -> None:
    """With an exit code, in words and as JSON."""
    machine("db", "upgrade")
    with contextlib.closing(sqlite3.connect(machine.folder / "data" / "muster.db")) as database:
        database.execute("INSERT INTO tallies VALUES ('devices', 'plant', 'enabled', 5)")
        database.commit()
    told = machine.try_("doctor", "-o", "json")
    assert 1 == told.code
    assert ["devices"] == [finding["table"] for finding in told.json["findings"]]
    assert "devices" in machine.try_("doctor").out


def test_who_lost_the_password_gets_back_in_from_the_machine(
    server: Server, bare: Shell, jane: Person, tmp_path: Path
) -> None:
    """While the server runs; the token sets one new password and ends."""
    owner = Shell(tmp_path, MUSTER_DATA_DIR=str(server.folder / "data"))
    for name in (jane.name, f"{jane.name}@EXAMPLE.com"):
        assert jane.id == owner.json("users", "recover", name)["user_id"]
    ran = owner("users", "recover", jane.name)
    assert "muster users reset-password" in ran.err
    asked = ("users", "reset-password", "--token", "-", "--new", "-")
    bare(*asked, stdin=f"{ran.out.strip()}\na new password\n")
    bare.try_(*asked, stdin=f"{ran.out.strip()}\nanother one\n").refused("401")
    bare("login", jane.name, "--password", "-", stdin="a new password\n")
    owner.try_("users", "recover", "nobody").refused("no enabled user 'nobody'")


def test_a_server_that_cannot_start_says_why(machine: Shell, server: Server) -> None:
    """In a sentence."""
    machine.environment["MUSTER_HTTP"] = f"127.0.0.1:{server.port}"
    machine.try_("serve", "--workers", "2").refused("PostgreSQL", code=2)
    machine.environment |= {"MUSTER_DATA_DIR": str(server.folder / "data")}
    machine.try_("serve").refused("in use")


def test_a_port_for_mqtt_that_is_taken_stops_the_start(machine: Shell) -> None:
    """As one for HTTP does: nobody waits for a broker that cannot come."""
    doors = ("HTTP", "HTTPS", "MQTTS", "MQTT_WS", "ADAPTER_MQTT")
    machine.environment |= {f"MUSTER_{door}": "" for door in doors}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        machine.environment |= {"MUSTER_MQTT": place, "MUSTER_HTTP": f"127.0.0.1:{free_port()}"}
        ran = machine.try_("serve").refused(f"cannot listen on {place}: address already in use")
    assert "Muster answers" not in ran.err


def test_an_adapters_port_that_is_taken_is_named_once(machine: Shell) -> None:
    """As the others are."""
    doors = ("HTTP", "HTTPS", "MQTT", "MQTTS", "MQTT_WS", "ADAPTER_MQTTS")
    machine.environment |= {f"MUSTER_{door}": "" for door in doors}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        machine.environment |= {"MUSTER_ADAPTER_MQTT": place, "MUSTER_HTTP": f"127.0.0.1:{free_port()}"}
        ran = machine.try_("serve").refused()
    assert f"error: cannot listen on {place}: Address already in use" in ran.err.splitlines()


def test_a_broker_that_never_comes_up_stops_the_start(machine: Shell) -> None:
    """After a few attempts, with the setting that names it."""
    doors = ("HTTPS", "MQTTS", "MQTT_WS", "ADAPTER_MQTT", "ADAPTER_MQTTS")
    machine.environment |= {f"MUSTER_{door}": "" for door in doors}
    machine.environment |= {f"MUSTER_{door}": f"127.0.0.1:{free_port()}" for door in ("HTTP", "MQTT")}
    machine.environment["MUSTER_NATS_BINARY"] = shutil.which("false") or ""
    ran = machine.try_("serve").refused("MUSTER_NATS_BINARY", "ended 5 times")
    assert "Muster answers" not in ran.err


@pytest.mark.parametrize("verb", [("serve",), ("db", "upgrade"), ("nats-config", "--node", "a=10.0.0.1")])
def test_a_data_folder_that_cannot_be_one_is_named_with_its_setting(
    machine: Shell, verb: tuple[str, ...]
) -> None:
    """A file, or below a file."""
    file = machine.file("file", "no folder")
    for place in (file, f"{file}/data"):
        machine.environment["MUSTER_DATA_DIR"] = place
        machine.try_(*verb).refused(f"MUSTER_DATA_DIR: {place}", code=2)


def test_a_certificate_that_is_none_is_named(machine: Shell) -> None:
    """With its file and the setting."""
    file = machine.file("server.pem", "no certificate")
    machine.environment |= {
        f"MUSTER_{door}": "" for door in ("HTTP", "MQTT", "MQTTS", "MQTT_WS", "ADAPTER_MQTT")
    }
    machine.environment |= {"MUSTER_TLS_CERTIFICATE": file, "MUSTER_TLS_KEY": file}
    machine.environment["MUSTER_HTTPS"] = f"127.0.0.1:{free_port()}"
    machine.try_("serve").refused(file, "MUSTER_TLS_CERTIFICATE")


def test_the_demo_says_so_where_nobody_can_register(tmp_path: Path) -> None:
    """And what to do instead."""
    with Server(tmp_path, MUSTER_SELF_REGISTER="false") as closed:
        shell = Shell(tmp_path, MUSTER_URL=closed.url)
        shell.try_("demo").refused("nobody register without an admin", "muster provision")


@pytest.mark.anyio
async def test_users_are_found_on_every_database(url: str, store: AnyStore) -> None:
    """By username or e-mail address, whatever its case; nobody by a part of it."""
    new = users.NewUser(
        username="jane", email="jane@example.com", password="x", first_name="J", last_name="D", is_admin=False
    )
    made = await store.run(users.add_user, new, actor="test")
    for name in ("jane", "Jane@Example.com"):
        found = find_user(url, name)
        assert found is not None
        assert (made.id, "jane", 0, True) == (found.id, found.username, found.epoch, found.is_enabled)
    assert [None, None] == [find_user(url, name) for name in ("jan", "")]


NODES = (
    "--node",
    "n1=127.0.0.1,nats=1,mqtt=2,routes=3",
    "--node",
    "n2=10.0.0.2",
    "--node",
    "n3=[::1],ws=8083",
)


def test_each_node_of_a_cluster_gets_its_file(machine: Shell) -> None:
    """Printed or written, the same every time, and nobody else may read it."""
    machine("nats-config", *NODES, "--into", str(machine.folder / "nodes"))
    for name in ("n1", "n2", "n3"):
        path = machine.folder / "nodes" / f"{name}.conf"
        assert 0o600 == path.stat().st_mode & 0o777
        assert path.read_text() == machine("nats-config", *NODES, "--only", name).out
        assert name == json.loads(path.read_text())["server_name"]
    told = machine("nats-config", *NODES, "--only", "n1").err
    assert "MUSTER_NATS_URL=nats://127.0.0.1:1,nats://10.0.0.2:4222,nats://[::1]:4222" in told
    assert KEY not in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--node", "n1"), "is not NAME=HOST"),
        (("--node", "n1=h,nats=0"), "1 to 65535"),
        (("--node", "n1=h,http=80"), "1 to 65535"),
        (("--node", "n1=h", "--node", "n1=i", "--node", "n2=j"), "the same name"),
        (("--node", "n1=h", "--node", "n2=h", "--node", "n3=j"), "the same address"),
        (("--node", "n1=h", "--node", "n2=i"), "take three"),
        (NODES, "which one"),
        ((*NODES, "--only", "n4"), "no node 'n4'"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(machine: Shell, words: tuple[str, ...], says: str) -> None:
    """With the reason."""
    machine.try_("nats-config", *words).refused(says, code=2)
