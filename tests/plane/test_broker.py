"""The embedded broker runs as long as Muster does, and survives what devices and operators do to it."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from nats.aio.msg import Msg
from plane_fleet import BOTH
from plane_mqtt import Refused
from plane_station import Station, make_node
from structlog.testing import capture_logs

from muster.core import events
from muster.core.errors import Unavailable
from muster.plane.broker import NeverUp, find_binary
from muster.plane.config import Limits, Node, nats_config, server_config
from muster.plane.keys import Keys
from muster.plane.link import Link

WhenDone = Callable[[Callable[[], None]], None]


@pytest.mark.parametrize("cluster", [None, "east"])
def test_the_broker_accepts_the_configuration_we_write(tmp_path: Path, cluster: str | None):
    """Whatever the names and paths hold, as nats-server's own check says."""
    data = tmp_path / 'data "quoted" $HOME } #'
    routes = ("127.0.0.1", 6222) if cluster else None
    node = make_node(data, cluster=cluster, routes=routes, peers=("127.0.0.1:6222", "10.0.0.2:6222"))
    path = tmp_path / "broker.json"
    path.write_text(server_config(node, Keys(secrets.token_bytes(32))))
    check = subprocess.run([find_binary(None), "-t", "-c", path], capture_output=True, text=True, check=False)
    assert (check.returncode, "is valid" in check.stderr) == (0, True), check.stderr


def test_the_configuration_holds_public_keys_only(tmp_path: Path):
    """Who reads it can log in as nobody; in a cluster it holds the password of the routes."""
    keys = Keys(bytes(range(32)))
    text = server_config(make_node(tmp_path), keys)
    seeds = [keys.nkey(role) for role in ("issuer", "SYSTEM", "CALLOUT", "DEVICES")]
    assert [seed for seed in seeds if seed in text] == []
    assert keys.password("routes") not in text
    config = json.loads(text)
    assert config["jetstream"]["limits"] == {"default_max_consumers": -1}
    assert config["host"] == "127.0.0.1"
    assert server_config(make_node(tmp_path), keys).count(keys.public("issuer")) == 1


def test_each_node_of_a_cluster_gets_its_own_configuration(tmp_path: Path):
    """All the same keys, each its own name and addresses."""
    nodes = tuple(
        Node(
            name=f"n{n}",
            data=tmp_path / f"n{n}",
            nats=("0.0.0.0", 4222),
            mqtt=("0.0.0.0", 1883),
            cluster="c",
            routes=("0.0.0.0", 6222),
            peers=("n0:6222", "n1:6222"),
        )
        for n in range(2)
    )
    configs = {name: json.loads(text) for name, text in nats_config(nodes, Keys(bytes(32))).items()}
    assert [configs[f"n{n}"]["server_name"] for n in range(2)] == ["n0", "n1"]
    assert configs["n0"]["accounts"] == configs["n1"]["accounts"]
    assert len(configs["n0"]["cluster"]["routes"]) == 2


@pytest.mark.parametrize("account", ["CALLOUT", "DEVICES"])
def test_a_connection_on_which_the_broker_hangs_up_is_made_anew(station: Station, account: str):
    """Whatever it was for: here a line that is too long, which the library takes for the end."""
    ups: asyncio.Queue[str] = asyncio.Queue()
    link = Link([station.broker.url], station.keys, account)

    async def came_up() -> None:
        ups.put_nowait(account)

    async def echo(message: Msg) -> None:
        await link.publish(message.reply, message.data)

    async def provoke() -> bytes | None:
        link.on_up(came_up)
        link.on_message("echo", echo)
        link.start()
        await ups.get()
        await link.publish("x" * 300_000, b"")
        await ups.get()
        try:
            return await link.request("echo", b"still there")
        finally:
            await link.stop()

    assert station.run(provoke()) == b"still there"


def test_a_broker_that_is_not_reached_is_said_with_the_reason_and_not_all_the_time():
    """One warning, though it is tried many times a second."""

    async def wait(said: list[MutableMapping[str, Any]]) -> None:
        link = Link(["nats://127.0.0.1:1"], Keys(secrets.token_bytes(32)), "DEVICES")
        link.start()
        while not said:  # the test's own limit ends it
            with pytest.raises(Unavailable):
                await link.wait_up(0.1)
        with pytest.raises(Unavailable):
            await link.wait_up(0.5)
        await link.stop()

    with capture_logs() as said:
        asyncio.run(wait(said))
    assert [(line["event"], line["log_level"], line["error"]) for line in said] == [
        ("broker not reached", "warning", "ConnectionRefusedError")
    ]


def test_a_missing_binary_is_said_clearly(tmp_path: Path):
    """With the setting that helps."""
    with pytest.raises(Unavailable, match="MUSTER_NATS_BINARY"):
        find_binary(str(tmp_path / "nowhere"))


def test_a_killed_broker_comes_back_and_devices_with_it(tmp_path: Path, when_done: WhenDone):
    """Provisioning does not notice; kept sessions, retained messages and cuts work as before."""
    station = Station(tmp_path).start()
    when_done(station.stop)
    device = station.fleet.device("phoenix", phoenix_channel=BOTH)
    reader = station.fleet.device("ashes", phoenix_channel=BOTH)
    with station.connect(reader, clean=False) as r:
        r.subscribe("m/t1/c/phoenix-channel/kept", qos=1)
        station.leave(reader, r)
    with station.connect(device) as d:
        d.publish("channels/phoenix-channel/messages/state", "glowing", qos=1, retain=True)
        d.publish("channels/phoenix-channel/messages/kept", "queued", qos=1)
        # The broker acknowledges before it writes: a crash may cost what came in the last milliseconds.
        for payload in (b"queued", b"glowing"):
            assert station.eventually(lambda payload=payload: _on_disk(tmp_path, payload) > 0)
        os.kill(station.broker.pid or 0, signal.SIGKILL)
        assert d.was_cut()
    with pytest.raises(Unavailable):
        station.run(_publish_until_refused(station))
    station.run(station.plane.wait_up(10))
    assert station.broker.restarts == 1
    with station.connect(reader, clean=False) as r:
        assert r.session_present
        assert r.heard() == ("m/t1/c/phoenix-channel/kept", b"queued")
        r.subscribe("channels/phoenix-channel/messages/state", qos=1)
        assert r.next() == ("channels/phoenix-channel/messages/state", b"glowing", 1, True)
        r.subscribe("m/t1/c/phoenix-channel/live")
        with station.connect(device) as d:
            d.publish("channels/phoenix-channel/messages/live", "again")
            assert r.heard() == ("m/t1/c/phoenix-channel/live", b"again")
            assert station.is_live(device)
            station.deliver(events.RIGHTS_CHANGED, device)
            assert d.was_cut()


def _on_disk(data: Path, payload: bytes) -> int:
    return sum(path.read_bytes().count(payload) for path in data.rglob("*.blk"))


async def _publish_until_refused(station: Station) -> None:
    """Publish for as long as Muster believes that the broker is there."""
    address = station.fleet.channels["phoenix-channel"]
    end = time.monotonic() + 5
    while time.monotonic() < end:
        await station.plane.publisher.publish(address, ".x", b"", publisher="p", protocol="http")


def test_a_taken_port_is_said_and_tried_again(tmp_path: Path, when_done: WhenDone):
    """Muster starts without its broker and gets it when the port is free."""
    station = Station(tmp_path)
    when_done(station.stop)
    refused = pytest.raises(Unavailable, match="address already in use")
    with socket.create_server(station.node.mqtt), refused:
        station.run(station.broker.start(patience=2))
    station.run(station.broker.wait_up(20))
    assert station.broker.pid is not None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "said: nothing"),
        ("echo no room left >&2; exit 1", "said: no room left"),
        (None, "Exec format"),
    ],
)
def test_a_program_that_never_becomes_ready_is_given_up(
    tmp_path: Path, when_done: WhenDone, script: str | None, said: str
):
    """After a few attempts, long before patience ends; with its last words and the setting that names it."""
    binary = tmp_path / "no-broker"
    binary.write_text("\0nonsense" if script is None else f"#!/bin/sh\n{script}\n")
    binary.chmod(0o700)
    station = Station(tmp_path, binary=binary)
    when_done(station.stop)
    with pytest.raises(NeverUp, match=r"MUSTER_NATS_BINARY.* ended 5 times") as refused:
        station.run(station.broker.start(patience=600))
    assert said in refused.value.message


def test_the_broker_ends_with_muster_even_if_muster_is_killed(tmp_path: Path):
    """No orphan keeps the port or the data."""
    script = tmp_path / "short_lived.py"
    script.write_text(
        "import asyncio, sys\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[2])!r}]\n"
        "from pathlib import Path\n"
        "from plane_station import make_node\n"
        "from muster.plane.broker import Broker, find_binary\n"
        "from muster.plane.keys import Keys\n"
        "async def main():\n"
        f"    node = make_node(Path({str(tmp_path / 'data')!r}))\n"
        "    broker = Broker(find_binary(None), node, Keys(bytes(32)))\n"
        "    await broker.start()\n"
        "    print(broker.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as muster:
        assert muster.stdout is not None
        child = psutil.Process(int(muster.stdout.readline()))
        assert child.is_running()
        muster.kill()
    child.wait(5)


def test_stop_ends_the_child(tmp_path: Path):
    """In order, so that it writes out what it holds."""
    station = Station(tmp_path).start()
    child = psutil.Process(station.broker.pid or 0)
    station.stop()
    assert not child.is_running()


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 64,
        b"\xff" * 4096,
        b"\x10\xff\xff\xff\x7f",
        b"\x10\x0c\x00\x04MQTT\x05\xc2\x00\x3c",
        b"\x82\x05\x00\x01\x00\x00\x00",
        b"",
    ],
)
def test_garbage_and_half_open_connections_harm_nobody(station: Station, noise: bytes):
    """The connection ends or waits; devices go on."""
    device = station.fleet.device("unharmed", unharmed=BOTH)
    with socket.create_connection(station.node.mqtt, timeout=5) as connection:
        connection.sendall(noise)
        with station.connect(device) as d:
            d.subscribe("channels/unharmed/messages")
            d.publish("channels/unharmed/messages", "ok", qos=1)
            assert d.heard()[1] == b"ok"


def test_a_message_over_the_limit_ends_the_connection(tmp_path: Path, when_done: WhenDone):
    """Up to the limit it passes."""
    station = Station(tmp_path, limits=Limits(payload_bytes=2000)).start()
    when_done(station.stop)
    device = station.fleet.device("large", large_channel=BOTH)
    with station.connect(device) as d:
        d.subscribe("channels/large-channel/messages")
        d.publish("channels/large-channel/messages", b"x" * 2000, qos=1)
        assert d.heard()[1] == b"x" * 2000
        d.publish("channels/large-channel/messages", b"x" * 200_000)
        assert d.was_cut()


def test_more_connections_than_the_limit_are_refused(tmp_path: Path, when_done: WhenDone):
    """And accepted again when there is room."""
    station = Station(tmp_path, limits=Limits(connections=6)).start()
    when_done(station.stop)
    devices = [station.fleet.device(f"crowd-{n}", crowd=BOTH) for n in range(3)]
    with station.connect(devices[0]) as first, station.connect(devices[1]):
        with pytest.raises((Refused, ConnectionError, TimeoutError)):
            station.connect(devices[2])
        first.close()
        assert station.eventually(lambda: not station.plane.live.of("t1/crowd-0"))
        station.connect(devices[2]).close()


def test_messages_without_a_right_are_counted(tmp_path: Path, when_done: WhenDone):
    """MQTT 3.1.1 cannot refuse a PUBLISH; the broker acknowledges and drops it, Muster counts and says it."""
    station = Station(tmp_path)
    station.start()
    when_done(station.stop)
    device = station.fleet.device("bold", bold_channel=(False, True))
    with station.connect(device) as d:
        d.publish("channels/bold-channel/messages", "dropped", qos=1)
    assert station.eventually(lambda: station.count("muster_dropped_publishes_total") == 1)


def test_a_broker_that_complains_without_end_does_not_flood_the_log(
    capsys: pytest.CaptureFixture[str], station: Station
):
    """A device that publishes where it may not, thousands of times, fills no disk."""
    device = station.fleet.device("flooding", flooding_channel=(False, True))
    with station.connect(device) as d:
        for _ in range(3000):
            d.publish("channels/flooding-channel/messages", "dropped")
        d.publish("channels/flooding-channel/messages", "dropped", qos=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if "Violation" in line]
    assert 0 < len(lines) < 200


def test_a_revocation_right_after_a_restart_finds_what_was_kept_before(tmp_path: Path, when_done: WhenDone):
    """Muster remembers no sessions itself: it reads them from the broker before it acts."""
    first = Station(tmp_path).start()
    device = first.fleet.device("remembered", remembered=BOTH)
    with first.connect(device, clean=False) as d:
        d.subscribe("channels/remembered/messages", qos=1)
        first.leave(device, d)
    first.stop()
    second = Station(tmp_path, fleet=first.fleet, keys=first.keys).start()
    when_done(second.stop)
    second.deliver(events.ACCESS_ENDED, device)
    with second.connect(device, clean=False) as d:
        assert not d.session_present
