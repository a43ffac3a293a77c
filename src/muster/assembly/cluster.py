"""The configuration of a production cluster: the same as the embedded broker's, on several nodes."""

from collections.abc import Mapping
from pathlib import Path

from muster.admin.nats import Cluster, ClusterNode
from muster.assembly.messages import broker_keys, broker_limits
from muster.assembly.parts import keyring_of
from muster.plane.config import Limits, Node
from muster.plane.config import nats_config as texts
from muster.settings import Settings, make_data_dir


def nats_config(settings: Settings, cluster: Cluster) -> Mapping[str, str]:
    """Give the configuration file of each node, by name."""
    make_data_dir(settings)
    limits = broker_limits(settings)
    nodes = tuple(_node(node, cluster, limits) for node in cluster.nodes)
    return texts(nodes, broker_keys(keyring_of(settings)))


def _node(node: ClusterNode, cluster: Cluster, limits: Limits) -> Node:
    host = cluster.listen or node.host
    return Node(
        name=node.name,
        data=Path(node.data),
        nats=(host, node.nats),
        mqtt=(host, node.mqtt),
        websocket=None if node.websocket is None else (host, node.websocket),
        # A cluster of one would wait for others for ever.
        cluster=cluster.name if len(cluster.nodes) > 1 else None,
        routes=(host, node.routes),
        peers=tuple(f"{peer.dialled}:{peer.routes}" for peer in cluster.nodes),
        limits=limits,
    )
