"""The text of the broker's configuration: a pure function of a node and the keys.

The format is JSON, which nats-server reads, so that no name or path can break out of its quotes.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muster.plane.keys import Keys

SYSTEM, CALLOUT, DEVICES = "SYSTEM", "CALLOUT", "DEVICES"
"""The broker's accounts: its own events, its questions to Muster, and the devices with their messages."""
ANSWER_BYTES = 1024 * 1024
"""The largest answer the broker reads (its `jwt.MaxTokenSize`): a device's rights on some 700 channels."""
_SERVER_BYTES = 4 * 1024 * 1024


_OVERHEAD = 1024
"""Headers, which count as payload."""
_LINE_BYTES = 256 * 1024
"""The longest line: the subject of the longest topic MQTT knows, 65,535 bytes, in which `.` becomes `//`. The
broker's own bound, 4,096, would hang up on Muster when it copies a message with a long topic."""


def largest(payload_bytes: int) -> int:
    """Give the most that a message in the account of the devices may take, headers with it."""
    return payload_bytes + _OVERHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the broker takes. A question that waits longer than *login_seconds* counts as refused."""

    payload_bytes: int = 1024 * 1024
    connections: int = 65536
    login_seconds: float = 10
    in_flight: int = 256
    """Unacknowledged QoS 1 and 2 messages of one subscription. All of a session's together may be 65,535."""
    acknowledge_seconds: int = 10
    """How long a device may take to acknowledge a message before it is sent again."""
    store_bytes: int | None = None
    """What queued and retained messages may take on disk; None: what the broker finds reasonable there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One nats-server: where it listens and keeps its data. Addresses are (host, port)."""

    name: str
    data: Path
    nats: tuple[str, int]
    mqtt: tuple[str, int]
    websocket: tuple[str, int] | None = None
    """MQTT over WebSocket, at the path /mqtt; without TLS, which a front ends."""
    cluster: str | None = None
    """The name of the cluster it belongs to; with it, *routes* says where it listens for the other nodes."""
    routes: tuple[str, int] | None = None
    peers: tuple[str, ...] = ()
    """host:port of the routes of all nodes."""
    limits: Limits = field(default_factory=Limits)


_HANDSHAKE_SECONDS = 10
"""How long a WebSocket may take to begin, as at the other doors: the broker's own default is for ever."""


def server_config(node: Node, keys: Keys) -> str:
    """Give the configuration file of *node*. Its one secret is, in a cluster, the password of the routes."""
    parts = {**_server(node), **_doors(node), **_accounts(node, keys), **_cluster(node, keys)}
    return json.dumps(parts, indent=2) + "\n"


def nats_config(nodes: tuple[Node, ...], keys: Keys) -> dict[str, str]:
    """Give the configuration of each node of a production cluster, by node name."""
    return {node.name: server_config(node, keys) for node in nodes}


def _server(node: Node) -> dict[str, Any]:
    limits = node.limits
    storage: dict[str, Any] = {"store_dir": str(node.data)}
    if limits.store_bytes is not None:
        storage["max_file_store"] = limits.store_bytes
    return {
        "server_name": node.name,
        "host": node.nats[0],
        "port": node.nats[1],
        # What devices send is bounded with their account.
        "max_payload": max(_SERVER_BYTES, limits.payload_bytes) + _OVERHEAD,
        "max_connections": limits.connections,
        "max_control_line": _LINE_BYTES,
        # Each QoS 1 subscription is a consumer; the broker's bound of 1,000 would refuse the 501st device.
        "jetstream": {**storage, "limits": {"default_max_consumers": -1}},
    }


def _doors(node: Node) -> dict[str, Any]:
    mqtt = {
        "host": node.mqtt[0],
        "port": node.mqtt[1],
        "max_ack_pending": node.limits.in_flight,
        # What was on its way to a device that vanished is sent again after this, not at once when it returns.
        "ack_wait": f"{node.limits.acknowledge_seconds}s",
    }
    if node.websocket is None:
        return {"mqtt": mqtt}
    host, port = node.websocket
    websocket = {"host": host, "port": port, "no_tls": True, "handshake_timeout": f"{_HANDSHAKE_SECONDS}s"}
    return {"mqtt": mqtt, "websocket": websocket}


def _accounts(node: Node, keys: Keys) -> dict[str, Any]:
    def account(role: str, **more: object) -> dict[str, Any]:
        return {"users": [{"nkey": keys.public(role)}], **more}

    return {
        "accounts": {
            SYSTEM: account(SYSTEM),
            CALLOUT: account(CALLOUT),
            DEVICES: account(
                DEVICES,
                jetstream="enabled",
                limits={"max_payload": largest(node.limits.payload_bytes)},
                # The topics of the channels form may begin with a slash (spec E.1).
                mappings={"/.channels.>": "channels.>"},
            ),
        },
        "system_account": SYSTEM,
    }


def _cluster(node: Node, keys: Keys) -> dict[str, Any]:
    callout = {
        "issuer": keys.public("issuer"),
        "account": CALLOUT,
        "auth_users": [keys.public(role) for role in (SYSTEM, CALLOUT, DEVICES)],
    }
    authorization = {"authorization": {"timeout": node.limits.login_seconds, "auth_callout": callout}}
    if node.cluster is None or node.routes is None:
        return authorization
    secret = keys.password("routes")
    routes = {
        "name": node.cluster,
        "host": node.routes[0],
        "port": node.routes[1],
        "authorization": {"user": "route", "password": secret, "timeout": 2},
        "routes": [f"nats-route://route:{secret}@{peer}" for peer in node.peers],
    }
    return {**authorization, "cluster": routes}
