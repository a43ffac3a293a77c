"""One gateway in one call, upstream's journey, the demo: end to end against a real server."""

import json
import shutil
import subprocess
import uuid

import paho.mqtt.client as paho
import pytest

from tests.cli.conftest import Shell


def gateway() -> str:
    return f"gw-{uuid.uuid4().hex[:8]}"


def test_a_gateway_is_provisioned_and_fetches_its_configuration(muster: Shell) -> None:
    """With the external id as the only word, and the key from a pipe or a file."""
    id_ = gateway()
    made = muster.json(
        "provision", id_, "--key", "-", "--name", "gw", "--metadata", '{"site": "n"}', stdin="key\n"
    )
    fetched = muster.json("bootstrap", "fetch", id_, "--key", muster.file("key", "key\n"))
    assert made["clients"][0]["id"] == fetched["client_id"]
    assert "n" == made["clients"][0]["metadata"]["site"]
    assert made == muster.json(
        "provision",
        "gateway",
        "--name",
        "gw",
        "--metadata",
        '{"site": "n"}',
        id_,
        "--key",
        "-",
        stdin="key\n",
    )
    muster.try_("provision", id_, "--key", "-", stdin="other key\n").refused("409")
    assert 1 == muster.json("clients", "list")["total"]


def test_options_may_come_before_the_external_id(muster: Shell) -> None:
    """As with any other command."""
    table = muster("provision", "--name", "gw", "--make-key", gateway())
    assert "external key  " in table.out
    assert "muster bootstrap fetch" in table.err


def test_an_external_id_may_be_called_like_a_command(muster: Shell) -> None:
    """`provision gateway clients` is a gateway, `provision clients` a file."""
    made = muster.json("provision", "gateway", "clients", "--make-key")
    fetched = muster.json("bootstrap", "fetch", "clients", "--key", "-", stdin=made["external_key"])
    assert made["clients"][0]["id"] == fetched["client_id"]
    muster.try_("provision", "clients").refused("Missing argument", code=2)


def test_external_ids_of_all_sorts_work(muster: Shell) -> None:
    """Colons, slashes, percent signs, other scripts."""
    for id_ in ("33:52:79:C3:43", "a/b", "a%2Fb", "ключ", "a b", "?x=1#y"):
        unique = f"{id_}{uuid.uuid4().hex[:6]}"
        made = muster.json("provision", unique, "--key", "-", stdin="key\n")
        fetched = muster.json("bootstrap", "fetch", unique, "--key", "-", stdin="key\n")
        assert made["clients"][0]["id"] == fetched["client_id"], unique
        muster("unprovision", unique)


def test_a_dry_run_makes_nothing(muster: Shell) -> None:
    """It shows the plan."""
    plan = muster.json("provision", gateway(), "--make-key", "--dry-run")
    assert plan["dry_run"]
    assert "nothing was made" in muster("provision", gateway(), "--make-key", "--dry-run").err
    assert 0 == muster.json("clients", "list")["total"]


def test_the_key_is_asked_for_in_words(muster: Shell) -> None:
    """Where there is no terminal, the error says how to give it."""
    muster.try_("provision", gateway()).refused("external key is missing", "--key FILE", code=2)
    muster.try_("provision", gateway(), "--key", "-", stdin="a\tb\n").refused("no usable first line", code=2)
    muster.try_("provision", gateway(), "--key", "-", "--metadata", "x", stdin="k\n").refused(
        "no JSON", code=2
    )


def test_unprovisioning_takes_back_what_was_made(muster: Shell) -> None:
    """And says what it kept, because it was changed by hand since."""
    id_ = gateway()
    made = muster.json("provision", id_, "--make-key")
    channel = made["channels"][0]["id"]
    muster("channels", "update", channel, "--name", "mine now")
    table = muster("unprovision", id_)
    assert "kept: " in table.out
    assert "--force" in table.err
    assert [channel] == [row["id"] for row in muster.json("channels", "list")["channels"]]
    other = gateway()
    made = muster.json("provision", other, "--make-key")
    removed = muster.json("unprovision", other)
    assert ([c["id"] for c in made["clients"]], {}) == (removed["clients"], removed["kept"])
    muster.try_("unprovision", other).refused("404")


def test_upstreams_test_journey_works(bare: Shell) -> None:
    """Nobody needs to be logged in: user, domain, clients, channels, connections, messages."""
    steps = bare.json("provision", "test")["steps"]
    assert ["user", "domain", "clients", "channels", "connections", "messages"] == [s["step"] for s in steps]
    assert "✓ messages" in bare("provision", "test").out


def test_the_demo_tells_each_step(bare: Shell) -> None:
    """To the first message, and back with --clean."""
    told = bare.json("demo", "--clean")
    assert [200, 201, 201, 201, 201, 201, 200, 202, 200] == [step["status"] for step in told["steps"]]
    first, again = told["steps"][4]["answer"], told["steps"][5]["answer"]
    assert first == again


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_demo_prints_does_the_same_again(bare: Shell) -> None:
    """It is a shell script: with other values in its first line, curl onboards another gateway."""
    first, _, rest = bare("demo").out.partition("\n")
    values = dict(word.split("=", 1) for word in first.split())
    mark = uuid.uuid4().hex[:8]
    fresh = {**values, "NAME": f"again-{mark}", "ID": f"gw-{mark}"}
    script = "\n".join(
        [*(f"{name}={value}" for name, value in fresh.items()), rest, 'echo "$CHANNEL $SECRET"']
    )
    done = subprocess.run(
        ["sh", "-eu"], input=script, capture_output=True, text=True, check=False, timeout=60
    )
    assert (0, "") == (done.returncode, done.stderr)
    fetched = bare.json("bootstrap", "fetch", f"gw-{mark}", "--key", "-", stdin=values["KEY"])
    assert f"{fetched['channels'][-1]['id']} {fetched['client_secret']}" == done.stdout.splitlines()[-1]


def test_messages_are_sent_and_read_back(muster: Shell) -> None:
    """As a client with its secret, and as a user."""
    made = muster.json("provision", gateway(), "--make-key")
    secret, channel = made["clients"][0]["credentials"]["secret"], made["channels"][1]["id"]
    muster("messages", "send", channel, '{"v": 1}', "--secret", "-", stdin=secret)
    where = muster.file("secret", secret)
    assert (
        "accepted\n"
        == muster("messages", "send", f"{channel}/some/where", "-", "--secret", where, stdin="text").out
    )
    found = muster.json("messages", "read", channel, "--limit", "5")["messages"]
    assert {'{"v": 1}', "text"} == {message["payload"] for message in found}
    muster.try_("messages", "send", channel, "x", "--secret", "-", stdin="wrong\n").refused("401")


def test_devices_are_watched_as_they_come_and_go(muster: Shell, mqtt_port: int) -> None:
    """A real MQTT client connects and disconnects; both are told, once."""
    made = muster.json("provision", gateway(), "--make-key")["clients"][0]
    assert "" == muster("clients", "watch", "--rounds", "1").out
    device = paho.Client(paho.CallbackAPIVersion.VERSION2)
    device.username_pw_set(made["id"], made["credentials"]["secret"])
    device.connect("127.0.0.1", mqtt_port)
    device.loop_start()
    try:
        come = seen(muster, made["id"], "connected")
    finally:
        device.disconnect()
        device.loop_stop()
    gone = seen(muster, made["id"], "disconnected")
    assert come["at"] < gone["at"]
    assert ("mqtt", "connected") == (come["protocol"], come["event"])
    assert 2 == len(muster("clients", "watch", "--rounds", "1").out.splitlines())
    assert "" == muster("clients", "watch", "--rounds", "2", "--every", "0.2", "--new").out


def seen(muster: Shell, client: str, event: str) -> dict[str, str]:
    """Watch until it is told."""
    for _ in range(40):
        lines = muster("clients", "watch", "--rounds", "2", "--every", "0.2", "-o", "json").out.splitlines()
        for line in lines:
            row: dict[str, str] = json.loads(line)
            if (client, event) == (row["client_id"], row["event"]):
                return row
    raise AssertionError(f"nobody saw that {client} {event}")
