"""`muster nats-config`: what the nodes of a production cluster are started with."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import rich_click as click

from muster.admin.start import config_option, configuration, say, sentences
from muster.settings import Settings

_SPELLING = re.compile(
    r"(?P<name>[A-Za-z0-9_-]+)=(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(?P<ports>(,\w+=\d+)*)"
)
_PORTS = {"nats": 4222, "mqtt": 1883, "routes": 6222}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """A node of the cluster: under which address the others and Muster reach it, and its ports."""

    name: str
    host: str
    nats: int
    mqtt: int
    routes: int
    websocket: int | None
    """MQTT over WebSocket, without TLS; None: not there."""
    data: PurePosixPath

    @property
    def dialled(self) -> str:
        """The host as URLs have it."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster, and where its nodes listen: each at its own address, or all at *listen*."""

    name: str
    nodes: tuple[ClusterNode, ...]
    listen: str | None = None


class Machine(Protocol):
    """What assembly gives this verb."""

    def nats_config(self, settings: Settings, cluster: Cluster) -> Mapping[str, str]:
        """Give the configuration file of each node, by name."""


def read_node(text: str, data: PurePosixPath) -> ClusterNode:
    """Read NAME=HOST[,nats=PORT][,mqtt=PORT][,routes=PORT][,ws=PORT]. BadParameter for anything else."""
    found = _SPELLING.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not NAME=HOST[,nats=PORT][,mqtt=PORT][,routes=PORT][,ws=PORT]")
    said = dict(part.split("=") for part in found["ports"].split(",") if part)
    ports = {name: int(number) for name, number in said.items()}
    if not {*_PORTS, "ws"} >= ports.keys() or not all(0 < port < 65536 for port in ports.values()):
        raise click.BadParameter(f"{text!r}: the ports are nats, mqtt, routes and ws, each 1 to 65535")
    websocket = ports.pop("ws", None)
    return ClusterNode(
        name=found["name"],
        host=found["host"].strip("[]"),
        websocket=websocket,
        data=data / found["name"],
        **{**_PORTS, **ports},
    )


def _checked(nodes: Sequence[ClusterNode]) -> tuple[ClusterNode, ...]:
    if len({node.name for node in nodes}) < len(nodes):
        raise click.BadParameter("two nodes have the same name")
    if len({(node.host, node.routes) for node in nodes}) < len(nodes):
        raise click.BadParameter("two nodes have the same address; on one machine give each its own ports")
    if len(nodes) == 2:
        raise click.BadParameter("two nodes stand still when either fails: take three, or one")
    return tuple(nodes)


@click.command("nats-config")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    required=True,
    metavar="NAME=HOST[,nats=PORT][,mqtt=PORT][,routes=PORT][,ws=PORT]",
    help="A node; repeat it. The host is how the others and Muster reach it; the ports 4222, 1883, 6222.",
)
@click.option("--cluster", "name", default="muster", show_default=True, help="The cluster's name.")
@click.option("--data", default="/var/lib/nats", show_default=True, help="Where nodes keep data, each below.")
@click.option("--listen", help="Where all nodes listen, such as 0.0.0.0; else each at its own address.")
@click.option("--only", metavar="NAME", help="Print the file of this node alone.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write NAME.conf of each node into this folder, mode 0600, instead of printing.",
)
@config_option
@click.pass_obj
def nats_config(
    machine: Machine,
    nodes: tuple[str, ...],
    name: str,
    data: str,
    listen: str | None,
    only: str | None,
    into: Path | None,
    config: Path | None,
) -> None:
    """Print what the nats-server of each node of a cluster is started with, as it stands.

    Limits come from the settings, keys from the master key: run it where Muster's settings are. The files
    hold a secret, the password by which the nodes know each other. More than one: --into, or --only.
    """
    cluster = Cluster(
        name=name, nodes=_checked([read_node(text, PurePosixPath(data)) for text in nodes]), listen=listen
    )
    settings = configuration(config).settings
    with sentences():
        files = machine.nats_config(settings, cluster)
    if into is not None:
        _write(into, files)
    else:
        click.echo(_chosen(files, only), nl=False)
    say(f"next: MUSTER_NATS_URL={','.join(f'nats://{n.dialled}:{n.nats}' for n in cluster.nodes)}")
    say(f"      MUSTER_NATS_MQTT={','.join(f'{n.dialled}:{n.mqtt}' for n in cluster.nodes)}")


def _chosen(files: Mapping[str, str], only: str | None) -> str:
    if only is None and len(files) == 1:
        return next(iter(files.values()))
    if only is None:
        raise click.UsageError("which one? --only NAME prints one file, --into FOLDER writes all")
    if only not in files:
        raise click.BadParameter(f"there is no node {only!r}")
    return files[only]


def _write(folder: Path, files: Mapping[str, str]) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in files.items():
            path = folder / f"{name}.conf"
            path.unlink(missing_ok=True)  # an older file may be readable by others
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
            say(f"written: {path}")
    except OSError as error:
        raise click.ClickException(f"cannot write to {folder}: {error.strerror}") from None
