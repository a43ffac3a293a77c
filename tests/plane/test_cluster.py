"""A three-node cluster from nats_config, on loopback: the same code, and one node less is no harm."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nats.js.errors import NotFoundError
from plane_fleet import BOTH
from plane_mqtt import Device, Refused
from plane_station import Station
from tests.ports import free_port

from muster.core import events
from muster.core.errors import Unavailable
from muster.plane.broker import Broker, find_binary
from muster.plane.config import DEVICES, Node
from muster.plane.link import Link
from muster.plane.publish import STREAM, Retention
from muster.plane.service import Plane

ELECTION = 30.0
"""How long the survivors may take until each part of the store has a leader again."""


class Cluster(Station):
    """Three brokers and one process of Muster that knows the addresses of all."""

    async def _make(self) -> None:
        peers = tuple(f"127.0.0.1:{port}" for port in [free_port() for _ in range(3)])
        self.nodes = [
            Node(
                name=f"n{n}",
                data=self.node.data / f"n{n}",
                nats=("127.0.0.1", free_port()),
                mqtt=("127.0.0.1", free_port()),
                cluster="muster",
                routes=("127.0.0.1", int(peer.rsplit(":", 1)[1])),
                peers=peers,
            )
            for n, peer in enumerate(peers)
        ]
        self.brokers = [Broker(find_binary(None), node, self.keys) for node in self.nodes]
        self.plane = Plane(
            urls=[broker.url for broker in self.brokers],
            doors=[node.mqtt for node in self.nodes],
            keys=self.keys,
            ports=self.fleet.ports(),
            registry=self.registry,
            retention=Retention(),
        )

    def start(self) -> "Cluster":
        self.run(self._start_brokers(), 60)
        self.run(self._start_plane())
        return self

    async def _start_brokers(self) -> None:
        await asyncio.gather(*(broker.start(patience=30) for broker in self.brokers))

    def at(self, n: int, device, **how) -> Device:
        """Connect to node *n*; a cluster that has just elected a leader may need a moment."""
        found: list[Device] = []

        def connect() -> bool:
            try:
                found.append(Device(self.nodes[n].mqtt[1], device.id, device.secret, **how))
            except (OSError, Refused):
                return False
            return True

        assert self.eventually(connect, 30)
        return found[0]

    def stop(self) -> None:
        self.run(self._stop_all(), 60)
        self._end_loop()

    async def _stop_all(self) -> None:
        await self.plane.stop()
        await asyncio.gather(*(broker.stop() for broker in self.brokers))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path).start()
    yield cluster
    cluster.stop()


async def _replicas(cluster: Cluster) -> int:
    """Say how many nodes keep the messages that can be read back."""
    link = Link([broker.url for broker in cluster.brokers], cluster.keys, DEVICES)
    link.start()
    try:
        await link.wait_up(10)
        info = await link.client.jetstream(timeout=5).stream_info(STREAM)
    except (NotFoundError, TimeoutError, Unavailable):
        return 0  # a leader is still being chosen
    finally:
        await link.stop()
    return info.config.num_replicas or 0


def _gets_through(cluster: Cluster, device) -> bool:
    """Say whether a message of QoS 1 is acknowledged: not while the survivors elect a leader of the store."""
    with cluster.at(0, device) as d:
        info = d.client.publish("channels/cluster-channel/messages/x", "probe", qos=1)
        try:
            info.wait_for_publish(6)
        except RuntimeError:
            return False
        return info.is_published()


@pytest.mark.xdist_group("cluster")
def test_devices_go_on_when_a_node_dies(cluster: Cluster, when_done: Callable[[Callable[[], None]], None]):
    """Across nodes and address forms messages arrive, sessions are cut, and one node may be killed."""
    writer = cluster.fleet.device("cluster-w", cluster_channel=BOTH)
    reader = cluster.fleet.device("cluster-r", cluster_channel=BOTH)
    r = cluster.at(1, reader, clean=False)
    when_done(r.close)
    assert r.subscribe("m/t1/c/cluster-channel/#", qos=1) == [1]
    w = cluster.at(0, writer)
    when_done(w.close)
    w.publish("channels/cluster-channel/messages/x", "across", qos=1)
    assert r.next(ELECTION) == ("m/t1/c/cluster-channel/x", b"across", 1, False)
    assert cluster.eventually(lambda: cluster.run(_replicas(cluster)) == 3, 30)
    assert cluster.is_live(writer)
    cluster.deliver(events.RIGHTS_CHANGED, writer)
    assert w.was_cut()

    os.kill(cluster.brokers[2].pid or 0, signal.SIGKILL)
    cluster.run(cluster.brokers[2].stop(), 15)
    assert cluster.eventually(lambda: _gets_through(cluster, writer), 60)
    again = cluster.at(0, writer)
    when_done(again.close)
    for n in range(20):
        again.publish("channels/cluster-channel/messages/x", f"{n}", qos=1)
    expected = [str(n).encode() for n in range(20)]
    while (first := r.next(ELECTION)[1]) != expected[0]:
        assert first == b"probe"
    assert [r.next(ELECTION)[1] for _ in expected[1:]] == expected[1:]
    assert not r.was_cut(0.1)
    assert cluster.is_live(reader)
    cluster.deliver(events.ACCESS_ENDED, reader)
    assert r.was_cut()
