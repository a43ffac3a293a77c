"""Files of many: formats, lines of what is wrong, all or nothing, chunks, going on after a kill."""

import csv
import json
import os
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Shell

CLIENTS = ("provision", "clients")
SOME_ID = "6f1ed002-ab5d-4c3f-8b3f-1a2b3c4d5e6f"


def listed(muster: Shell, noun: str = "clients") -> list[Any]:
    found: list[Any] = muster.json(noun, "list", "--all", "--status", "all")[noun]
    return found


def read_csv(where: str | Path) -> list[dict[str, str]]:
    with Path(where).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- formats ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noun", ["clients", "channels"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", "one,ignored\n\ntwo\n"),
        ("rows.csv", '\ufeffname,tags,metadata\none,a;b,"{""x"": 1}"\r\ntwo,,\r\n'),
        ("rows.json", '[{"name": "one"},\n {"name": "two", "created_at": "2025-01-01T00:00:00Z"}]\n'),
        ("rows.ndjson", '{"name": "one"}\n\n{"name": "two"}\n'),
        ("rows.JSONL", '{"name": "one"}\n{"name": "two"}'),
    ],
)
def test_every_format_is_read(muster: Shell, noun: str, name: str, text: str) -> None:
    """Upstream's CSV without headings, ours with them, JSON, and an object a line."""
    made = muster.json("provision", noun, muster.file(name, text))
    assert ["one", "two"] == [row["name"] for row in made[noun]]
    assert {"one", "two"} == {row["name"] for row in listed(muster, noun)}


def test_headings_lead_to_the_right_places(muster: Shell) -> None:
    """Every column of a CSV with headings."""
    id_ = str(uuid.uuid4())
    text = f'name,id,identity,secret,tags,metadata,status\nc,{id_},i,s,a; b,"{{""x"": [1]}}",disabled\n'
    [made] = muster.json(*CLIENTS, muster.file("c.csv", text))["clients"]
    assert {"identity": "i", "secret": "s"} == made["credentials"]
    told = tuple(made[key] for key in ("id", "tags", "metadata", "status"))
    assert (id_, ["a", "b"], {"x": [1]}, "disabled") == told
    [channel] = muster.json("provision", "channels", muster.file("d.csv", "name,route,id\nd,r,my-id\n"))[
        "channels"
    ]
    assert ("r", "my-id") == (channel["route"], channel["id"])


def test_a_list_that_was_saved_can_be_created_again(muster: Shell) -> None:
    """What only lists show is left out."""
    muster.json(*CLIENTS, muster.file("a.csv", "one\ntwo\n"))
    saved = listed(muster)
    for row in saved:
        muster("clients", "delete", row["id"])
    muster(*CLIENTS, muster.file("again.json", json.dumps(saved)))
    assert {row["id"] for row in saved} == {row["id"] for row in listed(muster)}


def test_rows_can_be_piped_in(muster: Shell) -> None:
    """With a word on the format."""
    assert 2 == muster.json(*CLIENTS, "-", "--format", "csv", stdin="one\ntwo\n")["total"]
    muster.try_(*CLIENTS, "-", stdin="one\n").refused("CSV, JSON or NDJSON", "--format csv", code=2)
    muster.try_(*CLIENTS, muster.file("rows.txt", "one")).refused("CSV, JSON or NDJSON", code=2)


# --- what is wrong, with its line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noun", "name", "text", "told"),
    [
        ("clients", "a.csv", "one\n" + "x" * 1025 + "\n", ["a.csv:2: the name has more than 1024 bytes"]),
        ("clients", "a.csv", 'one\n"two\n', ["a.csv:2: no CSV"]),
        ("clients", "a.csv", "name,id\na,b\n", ["a.csv:2: id 'b' is no UUID"]),
        ("clients", "a.csv", "name,color\na,red\n", ["a.csv:2: nothing is known of a column 'color'"]),
        ("clients", "a.csv", "id,name\na,b\n", ["a.csv:1: the first of the headings must be 'name'"]),
        ("clients", "a.csv", "name\na,b\n", ["a.csv:2: has 2 cells under 1 headings"]),
        ("clients", "a.csv", "name,metadata\n\na,{\n", ["a.csv:3: column 'metadata' holds no JSON object"]),
        ("clients", "a.json", '[{"name": "a"},\n\n {"name": 5}]', ["a.json:3: name must be a text"]),
        ("clients", "a.json", '[{"name": "a"},\n oops]', ["a.json:2: no JSON at column 2"]),
        ("clients", "a.json", '[{"name": "a"}\n {}]', ["a.json:2: no JSON: expected a comma or ]"]),
        ("clients", "a.json", "[]\n[]", ["a.json:2: no JSON: something follows"]),
        ("clients", "a.json", '"text"', ["a.json:1: no JSON: expected a JSON array"]),
        ("clients", "a.json", "[1]", ["a.json:1: must be an object"]),
        ("clients", "a.json", '[{"nam": "a"}]', ["a.json:1: nothing is known of 'nam'"]),
        ("clients", "a.json", '[{"tags": [1]}]', ["a.json:1: tags must be a list of texts"]),
        ("clients", "a.json", '[{"metadata": []}]', ["a.json:1: metadata must be an object"]),
        ("clients", "a.json", '[{"status": "off"}]', ["a.json:1: status must be enabled or disabled"]),
        ("clients", "a.json", '[{"credentials": {"key": "x"}}]', ["nothing is known of 'credentials.key'"]),
        ("clients", "a.json", '[{"credentials": {"secret": "x"}},\n{"credentials": {"secret": "x"}}]',
         ["a.json:2: has the secret of line 1"]),
        ("clients", "a.ndjson", '{"name": "a"}\n{"name": \n', ["a.ndjson:2: no JSON at column"]),
        ("channels", "a.json", '[{"id": "a/b"}, {"id": " "}]', ["a.json:1: an id has 1 to 256 characters"]),
        ("channels", "a.csv", "name,id\na,x\nb,x\n", ["a.csv:3: has the id of line 2"]),
        ("clients", "a.json", "[" * 100_000, ["a.json:1: no JSON that can be read"]),
    ],
    ids=lambda each: str(each)[:40],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(
    muster: Shell, noun: str, name: str, text: str, told: list[str]
) -> None:
    """Before anything is sent."""
    ran = muster.try_("provision", noun, muster.file(name, text))
    ran.refused(*told, "nothing was sent", code=2)
    assert [] == listed(muster, noun)


def test_all_that_is_wrong_is_told_at_once(muster: Shell) -> None:
    """The first twenty in words, the others in number."""
    text = "name,id\n" + "".join(f"a,{n}\n" for n in range(30))
    ran = muster.try_(*CLIENTS, muster.file("a.csv", text)).refused(
        "a.csv:2:", "a.csv:21:", "and 10 more", code=2
    )
    assert "a.csv:22:" not in ran.err


@pytest.mark.parametrize("noun", [("provision", "clients"), ("provision", "channels"), ("connect",)])
@pytest.mark.parametrize(
    ("name", "text"),
    [("none.csv", ""), ("none.csv", "\n\n"), ("none.json", "[]"), ("none.ndjson", "\n")],
)
def test_a_file_without_rows_is_an_error(muster: Shell, noun: tuple[str, ...], name: str, text: str) -> None:
    """An export that failed must not look like work that is done; also not in a rehearsal."""
    file = muster.file(name, text)
    for more in ((), ("--dry-run",)):
        ran = muster.try_(*noun, file, *more).refused(file, "in it", "nothing was sent", code=2)
        assert "" == ran.out


def test_headings_alone_are_no_rows(muster: Shell) -> None:
    """From a file or a pipe."""
    muster.try_(*CLIENTS, muster.file("heads.csv", "name,tags\n")).refused("heads.csv has no clients", code=2)
    piped = muster.try_(*CLIENTS, "-", "--format", "csv", stdin="name\n")
    piped.refused("standard input has no clients", code=2)


def test_bytes_that_are_no_text_are_told(muster: Shell) -> None:
    """Latin-1, for instance."""
    where = Path(muster.file("a.csv", ""))
    where.write_bytes(b"caf\xe9\n")
    muster.try_(*CLIENTS, str(where)).refused("no UTF-8 text", code=2)
    muster.try_(*CLIENTS, str(muster.folder), "--format", "csv").refused("Is a directory", code=2)


# --- all or nothing ----------------------------------------------------------------------------------------


def test_a_dry_run_shows_and_sends_nothing(muster: Shell) -> None:
    """Neither rows nor a file to resume from."""
    where = muster.file("a.csv", "one\ntwo\n")
    ran = muster(*CLIENTS, where, "--dry-run")
    assert "2 clients can be sent; nothing was\n" == ran.err
    assert 2 == muster.json(*CLIENTS, where, "--dry-run")["total"]
    assert [] == listed(muster)
    assert not Path(f"{where}.muster-resume").exists()


@pytest.mark.parametrize("noun", ["clients", "channels"])
def test_one_row_that_cannot_be_made_leaves_none(muster: Shell, noun: str) -> None:
    """A file lands whole or not at all; channels too, unlike upstream's."""
    taken = str(uuid.uuid4())
    muster(noun, "create", "--name", "first", "--id", taken)
    rows = [{"name": f"n{n}"} for n in range(200)] + [{"name": "bad", "id": taken}]
    ran = muster.try_("provision", noun, muster.file("a.json", json.dumps(rows)))
    ran.refused("409", code=1)
    assert not Path(f"{muster.folder}/a.json.muster-resume").exists()
    assert ["first"] == [row["name"] for row in listed(muster, noun)]


def test_rows_that_can_be_made_are_made_when_asked(muster: Shell) -> None:
    """The others are listed with line and reason, and the list can be corrected and sent again."""
    taken = {n: str(uuid.uuid4()) for n in (7, 23)}
    for id_ in taken.values():
        muster("clients", "create", "--name", "first", "--id", id_)
    text = "name,id,secret,tags\n" + "".join(
        f"n{n},{taken.get(n) or uuid.uuid4()},s{n},a;b\n" for n in range(40)
    )
    where = muster.file("a.csv", text)
    ran = muster.try_(*CLIENTS, where, "--keep-going", "--chunk", "16")
    ran.refused("2 of 40 rows were refused", "a.csv.refused.csv", code=4)
    assert 40 == len(listed(muster))
    refused = Path(f"{where}.refused.csv")
    assert stat.S_IMODE(refused.stat().st_mode) == 0o600
    rows = read_csv(refused)
    assert [("n7", "9"), ("n23", "25")] == [(row["name"], row["line"]) for row in rows]
    assert {"a;b"} == {row["tags"] for row in rows}
    assert all("exists already" in row["reason"] for row in rows)
    text = refused.read_text()
    for id_ in taken.values():
        text = text.replace(id_, str(uuid.uuid4()))
    refused.write_text(text)
    muster(*CLIENTS, str(refused))
    assert 42 == len(listed(muster))


def test_what_is_made_is_written_down_on_request(muster: Shell) -> None:
    """Names, ids and secrets, for the user's eyes only."""
    out = muster.folder / "made.csv"
    made = muster.json(*CLIENTS, muster.file("a.csv", "one\ntwo\n"), "--out", str(out), "--chunk", "1")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    expected = [(row["name"], row["id"], row["credentials"]["secret"]) for row in made["clients"]]
    assert expected == [(row["name"], row["id"], row["secret"]) for row in read_csv(out)]


# --- going on ----------------------------------------------------------------------------------------------


def start(muster: Shell, *args: str) -> subprocess.Popen[bytes]:
    """Start `muster` as a process of its own, in order to kill it."""
    environment = {"PATH": os.environ["PATH"], **muster.environment}
    command = [sys.executable, "-m", "muster", *args]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def done(resume: Path) -> int:
    try:
        rows: int = json.loads(resume.read_text())["done"]
    except (FileNotFoundError, json.JSONDecodeError):
        rows = 0
    return rows


def test_after_a_kill_the_same_command_goes_on(muster: Shell) -> None:
    """Each row is made once, and the list of what was made is complete."""
    where = muster.file("a.csv", "".join(f"n{n}\n" for n in range(300)))
    resume, out = Path(f"{where}.muster-resume"), muster.folder / "made.csv"
    args = (*CLIENTS, where, "--chunk", "3", "--out", str(out))
    process = start(muster, *args)
    try:
        while process.poll() is None and done(resume) < 9:
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()
    assert 9 <= done(resume) < 300
    ran = muster(*args)
    assert "continuing after row" in ran.err
    assert sorted(f"n{n}" for n in range(300)) == sorted(row["name"] for row in listed(muster))
    assert [f"n{n}" for n in range(300)] == [row["name"] for row in read_csv(out)]
    assert not resume.exists()


def test_rows_whose_answer_was_lost_are_not_made_twice(muster: Shell) -> None:
    """A run that died between the server's answer and its own note asks again, with the same key."""
    where = muster.file("a.csv", "one\ntwo\nthree\nfour\n")
    resume = Path(f"{where}.muster-resume")
    told = muster.json("status")
    state = {"noun": "clients", "where": f"{told['url']} {told['domain_id']}", "chunk": 2}
    for _ in range(2):
        resume.write_text(json.dumps({**state, "run": "r", "done": 0, "digest": ""}))
        muster(*CLIENTS, where)
        assert not resume.exists()
    assert 4 == len(listed(muster))


def test_an_interrupted_run_is_not_taken_for_another(muster: Shell) -> None:
    """When the rows done, the noun, the domain or the server are not the same, nothing is sent."""
    where = muster.file("a.json", json.dumps([{"name": "one"}, {"name": "two"}]))
    resume = Path(f"{where}.muster-resume")
    state = {"run": "r", "noun": "clients", "where": "elsewhere", "chunk": 1, "done": 0, "digest": ""}
    resume.write_text(json.dumps(state))
    muster.try_(*CLIENTS, where).refused("belongs to another file", "--restart", code=2)
    resume.write_text("{")
    muster.try_(*CLIENTS, where).refused("cannot be read", "--restart", code=2)
    assert [] == listed(muster)
    muster(*CLIENTS, where, "--restart")
    assert 2 == len(listed(muster))


# --- connections -------------------------------------------------------------------------------------------


@pytest.fixture
def fleet(muster: Shell) -> tuple[list[str], list[str]]:
    """Make clients and channels; give their ids."""
    clients = muster.json(*CLIENTS, muster.file("c.csv", "".join(f"c{n}\n" for n in range(12))))["clients"]
    channels = muster.json(
        "provision", "channels", muster.file("d.csv", "".join(f"d{n}\n" for n in range(6)))
    )
    return [row["id"] for row in clients], [row["id"] for row in channels["channels"]]


def channels_of(muster: Shell, client: str, *args: str) -> set[str]:
    return {row["id"] for row in muster.json("clients", "channels", client, *args)["channels"]}


def test_connections_come_from_csv(muster: Shell, fleet: tuple[list[str], list[str]]) -> None:
    """Pairs as upstream's, and ours with the kind; pairs that stand there twice are made once."""
    clients, channels = fleet
    pairs = [f"{clients[n]},{channels[n % 3]}" for n in range(12)] + [f"{clients[0]},{channels[0]}"]
    text = "\n".join(
        [*pairs, f"{clients[0]},{channels[5]},publish", f"{clients[0]},{channels[4]},publish+subscribe"]
    )
    assert {"connections": 14} == muster.json("connect", muster.file("x.csv", text))
    assert {channels[0], channels[5], channels[4]} == channels_of(muster, clients[0])
    assert {channels[0], channels[4]} == channels_of(muster, clients[0], "--type", "subscribe")
    assert {channels[2]} == channels_of(muster, clients[11])


def test_connections_come_from_json(muster: Shell, fleet: tuple[list[str], list[str]]) -> None:
    """Sets as upstream's of both ages: each client to each channel."""
    clients, channels = fleet
    sets = [
        {"client_ids": clients[:2], "channel_ids": channels[:2], "types": ["Publish"]},
        {"thing_ids": clients[2:4], "channel_ids": channels[2:3]},
    ]
    assert "6 connections made\n" == muster("connect", muster.file("x.json", json.dumps(sets))).out
    assert set(channels[:2]) == channels_of(muster, clients[1])
    assert set() == channels_of(muster, clients[1], "--type", "subscribe")
    assert {channels[2]} == channels_of(muster, clients[3], "--type", "subscribe")


def test_one_pair_that_cannot_be_connected_leaves_none(
    muster: Shell, fleet: tuple[list[str], list[str]]
) -> None:
    """A file of connections lands whole or not at all, unlike upstream's."""
    clients, channels = fleet
    muster("connect", clients[5], channels[5])
    text = "".join(f"{clients[n]},{channels[n % 6]}\n" for n in range(12))
    where = muster.file("x.csv", text)
    muster.try_("connect", where).refused("409")
    assert set() == channels_of(muster, clients[0])
    ran = muster.try_("connect", where, "--keep-going")
    ran.refused("1 of 12 rows were refused", code=4)
    assert {channels[0]} == channels_of(muster, clients[0])
    assert "12 connections can be made" in muster("connect", where, "--dry-run").err


def test_large_sets_are_taken_apart(muster: Shell, fleet: tuple[list[str], list[str]]) -> None:
    """In chunks, with the same result."""
    clients, channels = fleet
    where = muster.file("x.json", json.dumps({"client_ids": clients, "channel_ids": channels}))
    assert {"connections": 72} == muster.json("connect", where, "--chunk", "1")
    assert set(channels) == channels_of(muster, clients[7])


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "only-one\n", "x.csv:1: must be client_id,channel_id"),
        ("x.csv", "\nnot-a-uuid,channel\n", "x.csv:2: client id 'not-a-uuid' is no UUID"),
        ("x.csv", f"{SOME_ID},\n", "x.csv:1: channel_ids must be a list of ids"),
        ("x.csv", f"{SOME_ID},c,both ways\n", "x.csv:1: types must be publish, subscribe, or both"),
        ("x.json", '{"client_ids": []}', "x.json:1: client_ids must be a list of ids"),
        ("x.json", '{"clients": []}', "x.json:1: nothing is known of 'clients'"),
        ("x.json", '[{"client_ids": ["a"], "channel_ids": ["b"]}]', "x.json:1: client id 'a' is no UUID"),
        ("x.json", "[5]", "x.json:1: must be an object"),
    ],
)
def test_connections_that_are_wrong_are_told_with_their_line(
    muster: Shell, name: str, text: str, told: str
) -> None:
    """Before anything is sent; a single column is an error, not a crash as upstream's."""
    muster.try_("connect", muster.file(name, text)).refused(told, "nothing was sent", code=2)
