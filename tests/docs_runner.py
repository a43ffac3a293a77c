"""Runs the shell blocks of a document as a reader would: one shell, from the first to the last."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```(sh|bash|console)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PROGRAMS = ("curl", "mosquitto_pub", "mosquitto_sub", "openssl")


@dataclass(frozen=True)
class Block:
    """A fenced block; *is_tested* when its fence says `test`."""

    document: str
    line: int
    text: str
    is_tested: bool


def documents() -> list[Path]:
    """Give the README and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(document: Path) -> list[Block]:
    """Give the shell blocks of a document, in order."""
    text = document.read_text()
    return [
        Block(
            document=str(document.relative_to(ROOT)),
            line=text[: found.start()].count("\n") + 1,
            text=found[3],
            is_tested="test" in found[2].split(),
        )
        for found in _BLOCK.finditer(text)
    ]


def script(found: list[Block], places: dict[str, str]) -> str:
    """Join blocks; each printed host and port becomes the one it is at in the test.

    Every curl must succeed: `-f` is added, so that an error of the server ends the shell.
    """
    text = "set -eu\nset -o pipefail\n" + "\n".join(block.text for block in found)
    for printed, ours in places.items():
        text = text.replace(printed, ours)
    return re.sub(r"\bcurl -sS\b", "curl -sS -f", text)


def missing(text: str) -> list[str]:
    """Name the programs that the script needs and this machine does not have."""
    return [name for name in _PROGRAMS if re.search(rf"\b{name}\b", text) and shutil.which(name) is None]


_STAND_IN = """#!{python}
import sys
import paho.mqtt.publish, paho.mqtt.subscribe
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
common = {{
    "hostname": given["-h"],
    "port": int(given["-p"]),
    "auth": {{"username": given["-u"], "password": given["-P"]}},
}}
if "-m" in given:
    paho.mqtt.publish.single(given["-t"], given["-m"], **common)
else:
    for message in paho.mqtt.subscribe.simple(given["-t"], msg_count=int(given["-C"]), **common):
        print(message.payload.decode(), flush=True)
"""


def stand_in(names: list[str], folder: Path) -> None:
    """Put MQTT clients made of paho where mosquitto's are not installed; AssertionError for anything else."""
    for name in names:
        assert name.startswith("mosquitto_"), f"the documents need {name}"
        print(f"{name} is not installed: a client made of paho-mqtt stands in")
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(_STAND_IN.format(python=ROOT / ".venv" / "bin" / "python"))
        program.chmod(0o755)


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it in a folder of its own, with the reader's PATH and this environment's `muster`."""
    bin_ = folder / ".venv" / "bin"
    bin_.mkdir(parents=True, exist_ok=True)
    for program in ("muster", "python"):
        link = bin_ / program
        if not link.exists():
            link.symlink_to(ROOT / ".venv" / "bin" / program)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(folder), "MUSTER_DATA_DIR": str(folder / "data")}
    return subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
