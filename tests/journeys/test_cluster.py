"""Three nats-server processes from what `muster nats-config` printed, and two Musters on one PostgreSQL."""

import contextlib
import os
import queue
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from muster.plane.broker import find_binary
from tests.journeys.server import Server, new_domain, new_user
from tests.journeys.test_messages import PATIENCE, Gateway, Session
from tests.ports import free_port

NODES = ("n1", "n2", "n3")
ELECTION = 45
"""Seconds until what is left of a cluster has leaders again, on a busy machine."""


class Cluster:
    """Nodes on loopback, started with nothing but the files that the command wrote."""

    def __init__(self, folder: Path, environment: dict[str, str], names: Sequence[str] = NODES) -> None:
        ports = iter([free_port() for _ in range(3 * len(names))])
        self._places = {name: (next(ports), next(ports), next(ports)) for name in names}
        self._folder = folder
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{nats}" for nats, _, _ in self._places.values())

    @property
    def doors(self) -> str:
        return ",".join(f"127.0.0.1:{mqtt}" for _, mqtt, _ in self._places.values())

    def mqtt(self, name: str) -> int:
        return self._places[name][1]

    def start(self) -> None:
        words = ["nats-config", "--data", str(self._folder), "--into", str(self._folder / "nodes")]
        for name, (nats, mqtt, routes) in self._places.items():
            words += ["--node", f"{name}=127.0.0.1,nats={nats},mqtt={mqtt},routes={routes}"]
        subprocess.run(
            [sys.executable, "-m", "muster", *words], env=self._environment, check=True, timeout=60
        )
        for name in self._places:
            with (self._folder / f"{name}.log").open("ab") as log:
                command = [find_binary(None), "-c", self._folder / "nodes" / f"{name}.conf"]
                self._running[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for name in list(self._running):
            self.kill(name)


@pytest.fixture
def cluster(tmp_path: Path, database_url: Callable[..., str]) -> Iterator[tuple[Cluster, dict[str, str]]]:
    shared = {
        "PATH": os.environ["PATH"],
        "MUSTER_MASTER_KEY": secrets.token_urlsafe(32),
        "MUSTER_DATABASE_URL": database_url("postgresql"),
    }
    cluster = Cluster(tmp_path / "nats", {**shared, "MUSTER_DATA_DIR": str(tmp_path / "nats")})
    shared |= {"MUSTER_NATS_URL": cluster.url, "MUSTER_NATS_MQTT": cluster.doors}
    cluster.start()
    yield cluster, shared
    cluster.stop()


def eventually(act: Callable[[], bool], patience: float = ELECTION) -> None:
    """Wait until it succeeds: the cluster elects leaders, and does not answer meanwhile."""
    deadline = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError, queue.Empty):
            if act():
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def connected(cluster: Cluster, node: str, gateway: Gateway) -> Session:
    """Connect the gateway's device to a node, as soon as it is let in."""
    found: list[Session] = []

    def comes() -> bool:
        session = Session(cluster.mqtt(node), gateway)
        found.append(session)
        return session.code == 0

    eventually(comes)
    return found[-1]


def arrives(sender: Session, reader: Session, topic: str) -> bool:
    """Say whether a message gets through; what arrives of earlier tries counts too."""
    sender.publish(topic, "21.5", qos=0)
    return (topic, b"21.5") == reader.received.get(timeout=1)


@pytest.mark.xdist_group("cluster")
def test_a_cluster_and_two_musters_outlive_a_node_and_a_leader(
    tmp_path: Path, cluster: tuple[Cluster, dict[str, str]]
) -> None:
    """Messages pass between nodes, any Muster cuts, one node less and one Muster less is no harm."""
    nodes, shared = cluster
    secure = free_port()
    with (
        Server(tmp_path / "one", **shared) as one,
        Server(tmp_path / "other", MUSTER_MQTTS=f"127.0.0.1:{secure}", **shared) as other,
    ):
        token = new_user(one, "jane")
        domain = new_domain(one, token, "plant")
        writer, reader, third = (Gateway(other, token, domain, f"gw{n}") for n in range(3))
        both = {"client_ids": [reader.id, third.id], "types": ["publish", "subscribe"]}
        assert 201 == writer.operate(f"channels/{writer.data}/connect", **both).status_code
        topic = f"channels/{writer.data}/messages/t"

        sender, listener = connected(nodes, "n2", writer), connected(nodes, "n3", reader)
        assert 0 == listener.subscribe(topic)
        eventually(lambda: arrives(sender, listener, topic))

        nodes.kill("n2")
        assert sender.ended.wait(PATIENCE)
        assert not listener.ended.is_set()
        sender = connected(nodes, "n1", writer)
        eventually(lambda: arrives(sender, listener, topic))
        # Over TLS devices are passed on to whatever node answers.
        ca = tmp_path / "ca.crt"
        ca.write_bytes(httpx.get(f"{other.url}/certs/download-ca").content)
        for _ in NODES:
            over_tls = Session(secure, writer, ca=ca)
            assert 0 == over_tls.code
            over_tls.close()

        # `one` leads: it was there first. What the other is told reaches the session all the same.
        assert 200 == reader.operate(f"clients/{reader.id}/disable").status_code
        assert listener.ended.wait(ELECTION)

        listener = connected(nodes, "n3", third)
        assert 0 == listener.subscribe(topic)
        one.kill()
        eventually(lambda: arrives(sender, listener, topic))
        assert 200 == third.operate(f"clients/{third.id}/disable").status_code
        assert listener.ended.wait(ELECTION)
        assert 0 != Session(nodes.mqtt("n3"), third).code
        assert 0 == connected(nodes, "n3", writer).code
        sender.close()
