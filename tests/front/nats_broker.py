"""A real nats-server with an open MQTT port, for the time of a test."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

BINARY = Path(sys.executable).with_name("nats-server")
PATIENCE = 30.0  # seconds


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nats_mqtt(folder: Path) -> Iterator[int]:
    """Run the broker with its data in *folder*; its MQTT port, once it is open."""
    port = free_port()
    config = folder / "nats.conf"
    config.write_text(
        f'server_name: test\nlisten: "127.0.0.1:-1"\njetstream {{ store_dir: "{folder}/data" }}\n'
        f'mqtt {{ listen: "127.0.0.1:{port}" }}\n'
    )
    process = subprocess.Popen([BINARY, "-c", config, "-l", folder / "nats.log"])
    try:
        deadline = time.monotonic() + PATIENCE
        while not is_open(port):
            assert process.poll() is None, (folder / "nats.log").read_text()
            assert time.monotonic() < deadline, (folder / "nats.log").read_text()
            time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)
