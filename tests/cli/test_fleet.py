"""Clients, channels, groups, connections, bootstrap configurations: each verb against a real server."""

import json
import uuid
from typing import Any

from tests.cli.conftest import BOOTSTRAP_KEY, Shell


def names(page: Any) -> set[str]:
    [rows] = [value for value in page.values() if isinstance(value, list)]
    return {row["name"] for row in rows}


def test_a_client_from_beginning_to_end(muster: Shell) -> None:
    """Every verb of clients does what it says."""
    made = muster.json(
        "clients", "create", "--name", "pump", "--identity", "p1", "--tag", "a", "--tag", "b",
        "--metadata", '{"site": "north"}', "--secret", "-", stdin="the pump's own secret\n",
    )  # fmt: skip
    id_ = made["id"]
    assert ("the pump's own secret", "p1") == (made["credentials"]["secret"], made["credentials"]["identity"])
    assert made == muster.json("clients", "get", id_)
    muster("clients", "update", id_, "--name", "pump 2", "--metadata", '{"site": "south"}')
    muster("clients", "tags", id_, "c", "d")
    changed = muster.json("clients", "get", id_)
    assert ("pump 2", {"site": "south"}, ["c", "d"]) == (
        changed["name"],
        changed["metadata"],
        changed["tags"],
    )
    rotated = muster.json("clients", "secret", id_, "--secret", "-", stdin="another secret\n")
    assert "another secret" == rotated["credentials"]["secret"]
    assert "disabled" == muster.json("clients", "disable", id_)["status"]
    assert {"pump 2"} == names(muster.json("clients", "list", "--status", "disabled"))
    assert set() == names(muster.json("clients", "list"))
    assert "enabled" == muster.json("clients", "enable", id_)["status"]
    assert f"{id_} is deleted\n" == muster("clients", "delete", id_).out
    muster.try_("clients", "get", id_).refused("404", "check the id")


def test_a_channel_from_beginning_to_end(muster: Shell) -> None:
    """Every verb of channels does what it says."""
    made = muster.json(
        "channels", "create", "--name", "data", "--id", "my-channel", "--route", "data", "--tag", "a"
    )
    assert ("my-channel", "data") == (made["id"], made["route"])
    muster("channels", "update", "my-channel", "--name", "data 2")
    muster("channels", "tags", "my-channel", "x")
    assert ("data 2", ["x"]) == tuple(
        muster.json("channels", "get", "my-channel")[k] for k in ("name", "tags")
    )
    muster("channels", "disable", "my-channel")
    assert {"data 2"} == names(muster.json("channels", "list", "--status", "disabled"))
    muster("channels", "enable", "my-channel")
    muster("channels", "delete", "my-channel")
    assert set() == names(muster.json("channels", "list"))


def test_a_body_can_come_from_a_file_and_options_count_before_it(muster: Shell) -> None:
    """For what no option says."""
    where = muster.file("client.json", '{"name": "from the file", "metadata": {"deep": {"er": [1, 2]}}}')
    made = muster.json("clients", "create", "-f", where, "--name", "from the option")
    assert ("from the option", {"deep": {"er": [1, 2]}}) == (made["name"], made["metadata"])
    piped = muster.json("clients", "create", "--file", "-", stdin='{"name": "piped"}')
    assert "piped" == piped["name"]
    data = muster.file("meta.json", '{"a": 1}')
    assert {"a": 1} == muster.json("channels", "create", "--name", "c", "--metadata", f"@{data}")["metadata"]


def test_json_that_is_none_is_told_with_its_place(muster: Shell) -> None:
    """Before anything is sent."""
    muster.try_("clients", "create", "--metadata", "{no").refused("--metadata: no JSON in line 1", code=2)
    muster.try_("clients", "create", "--metadata", "[1]").refused("must be a JSON object", code=2)
    muster.try_("clients", "create", "-f", "nowhere.json").refused("nowhere.json", code=2)
    muster.try_("clients", "create", "--metadata", "[" * 100_000).refused("no JSON that can be read", code=2)
    muster.try_("clients", "update", "some-id").refused("nothing to send", "--name", code=2)


def test_a_list_is_filtered_sorted_and_read_to_its_end(muster: Shell) -> None:
    """Ten rows without asking, all with --all, and a table says that there are more."""
    rows = [{"name": f"n{number:03}", "tags": ["odd"] if number % 2 else []} for number in range(120)]
    muster("provision", "clients", muster.file("many.json", json.dumps(rows)))
    page = muster.json("clients", "list", "--order", "name", "--dir", "desc", "--limit", "2", "--offset", "1")
    assert (["n118", "n117"], 120) == ([row["name"] for row in page["clients"]], page["total"])
    assert 120 == len(names(muster.json("clients", "list", "--all")))
    assert 60 == len(muster.json("clients", "list", "--all", "--tag", "odd")["clients"])
    table = muster("clients", "list")
    assert 11 == len(table.out.splitlines())
    assert "1 to 10 of 120; more with --offset 10, all with --all\n" == table.err
    muster.try_("clients", "list", "--limit", "101").refused("101", code=2)
    muster.try_("clients", "list", "--status", "broken").refused("broken", code=2)


def test_once_means_once(muster: Shell) -> None:
    """The same key makes one client, however often."""
    key = uuid.uuid4().hex
    ids = {muster.json("clients", "create", "--name", "one", "--once", key)["id"] for _ in range(3)}
    assert 1 == len(ids)
    assert 1 == muster.json("clients", "list")["total"]
    muster.try_("clients", "create", "--name", "other", "--once", key).refused(code=1)


def test_clients_and_channels_are_connected_and_disconnected(muster: Shell) -> None:
    """By their ids, in the kinds asked for."""
    client = muster.json("clients", "create", "--name", "c")["id"]
    one, two = (muster.json("channels", "create", "--name", name)["id"] for name in "ab")
    assert "1 to 2 connected\n" == muster("connect", client, f"{one},{two}", "--type", "publish").out
    assert {"a", "b"} == names(muster.json("clients", "channels", client))
    assert {"c"} == names(muster.json("channels", "clients", one, "--type", "publish"))
    assert set() == names(muster.json("channels", "clients", one, "--type", "subscribe"))
    assert {"c"} == names(muster.json("clients", "list", "--channel", one))
    muster.try_("connect", client, one, "--type", "publish").refused("409", "already")
    assert {} == muster.json("disconnect", client, one)
    assert {"b"} == names(muster.json("channels", "list", "--client", client))
    muster.try_("connect", client, one, two).refused("two words", code=2)


def test_groups_are_a_tree_that_entities_hang_on(muster: Shell) -> None:
    """Every verb of groups, and putting clients and channels into them."""
    top = muster.json("groups", "create", "site", "--description", "a site", "--tag", "x")["id"]
    low = muster.json("groups", "create", "hall", "--parent", top)["id"]
    assert {"site", "hall"} == names(muster.json("groups", "list"))
    assert {"hall"} == names(muster.json("groups", "children", top))
    muster("groups", "update", low, "--name", "hall 2", "--description", "another")
    assert "hall 2" == muster.json("groups", "get", low)["name"]
    assert muster.json("groups", "hierarchy", top, "--level", "2", "--direction", "1")["groups"]
    muster("groups", "unparent", low)
    assert set() == names(muster.json("groups", "children", top))
    muster("groups", "parent", low, top)
    client = muster.json("clients", "create", "--name", "c")["id"]
    channel = muster.json("channels", "create", "--name", "d", "--group", top)["id"]
    muster("clients", "group", client, top)
    assert {"c"} == names(muster.json("clients", "list", "--group", top))
    muster("clients", "ungroup", client)
    muster("channels", "ungroup", channel)
    muster("channels", "group", channel, low)
    assert {"d"} == names(muster.json("channels", "list", "--group", low))
    muster("groups", "disable", low)
    muster("groups", "enable", low)
    muster("groups", "delete", low)
    assert {"site"} == names(muster.json("groups", "list"))


def test_a_bootstrap_configuration_from_beginning_to_end(muster: Shell) -> None:
    """Prepared by hand, changed, whitelisted, fetched by the device in both ways, deleted."""
    channel = muster.json("channels", "create", "--name", "control")["id"]
    other = muster.json("channels", "create", "--name", "data")["id"]
    client = muster.json("clients", "create", "--name", "gw")["id"]
    external = f"00:1b:{uuid.uuid4().hex[:6]}"
    muster(
        "bootstrap", "configs", "create", external, "--key", "-", "--channel", channel, "--client", client,
        "--name", "gateway", "--content", "hello", stdin="its key\n",
    )  # fmt: skip
    assert [external] == [
        row["external_id"] for row in muster.json("bootstrap", "configs", "list")["configs"]
    ]
    muster("bootstrap", "configs", "update", client, "--content", "hello again")
    muster("bootstrap", "configs", "connections", client, channel, other)
    pem = muster.file("cert.pem", "-----BEGIN CERTIFICATE-----\n")
    muster("bootstrap", "configs", "certs", client, "--client-cert", pem)
    shown = muster.json("bootstrap", "configs", "get", client)
    assert ("hello again", 2) == (shown["content"], len(shown["channels"]))
    muster("bootstrap", "state", client, "active")
    assert {"control", "data"} == names(muster.json("clients", "channels", client))
    fetched = muster.json("bootstrap", "fetch", external, "--key", "-", stdin="its key\n")
    assert (client, "-----BEGIN CERTIFICATE-----\n") == (fetched["client_id"], fetched["client_cert"])
    secure = muster.json(
        "bootstrap", "fetch", external, "--key", "-", "--crypto-key", "-", stdin=f"its key\n{BOOTSTRAP_KEY}\n"
    )
    assert fetched == secure
    muster("bootstrap", "state", client, "inactive")
    assert set() == names(muster.json("clients", "channels", client))
    muster("bootstrap", "configs", "delete", client)
    muster.try_("bootstrap", "fetch", external, "--key", "-", stdin="its key\n").refused("404")


def test_a_wrong_bootstrap_key_is_told(muster: Shell) -> None:
    """The device's own or the installation's."""
    external = f"gw-{uuid.uuid4().hex[:6]}"
    muster("provision", external, "--key", "-", stdin="right key\n")
    muster.try_("bootstrap", "fetch", external, "--key", "-", stdin="wrong key\n").refused("403")
    asked = ("bootstrap", "fetch", external, "--key", "-", "--crypto-key", "-")
    muster.try_(*asked, stdin="right key\nshort\n").refused("16, 24 or 32 bytes", code=2)
    muster.try_(*asked, stdin="right key\nsixteen bytes no\n").refused(code=1)


def test_names_cannot_steer_the_terminal(muster: Shell) -> None:
    """What is no printable character is escaped in tables and fields; JSON keeps it, escaped by itself."""
    name = "evil\u202ename\u2028"
    made = muster.json("clients", "create", "-f", "-", stdin=json.dumps({"name": name}))
    assert name == made["name"]
    for shown in (muster("clients", "list").out, muster("clients", "get", made["id"]).out):
        assert "\u202e" not in shown
        assert "\u2028" not in shown
        assert "evil\\u202ename\\u2028" in shown
    muster.try_("clients", "create", "-f", "-", stdin=json.dumps({"name": "\x1b[2J"})).refused(
        "400", "control"
    )


def test_what_is_no_text_is_told(muster: Shell) -> None:
    """Ids of all sorts lead to an answer, not to a fault."""
    for id_ in ("a/b", "..", "%2F", "ключ", " ", "a" * 5000, "?x=1", "#x"):
        muster.try_("clients", "get", id_).refused(code=1)
