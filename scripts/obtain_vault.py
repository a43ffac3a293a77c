"""Build a Vault server for the tests from its published Go module; needs a Go toolchain, takes some minutes.

Version 1.14.2 is of the last line under the Mozilla Public License. Nothing of it is part of Muster.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODULE, VERSION = "github.com/hashicorp/vault", "v1.14.2"
SUM = "h1:wgJSMMGlBpJcUR/L7F7/OkK8E3/nzXo5mCtJtNh6pIU="
TARGET = Path(__file__).parents[1] / ".venv" / "bin" / "vault"


def go(*arguments: str, folder: Path | None = None) -> str:
    """Run the Go toolchain on the polite side of the scheduler; give what it printed."""
    environment = {**os.environ, "GOFLAGS": "-mod=mod -p=2", "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(
        ["nice", "-n", "10", "go", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"go {' '.join(arguments)} failed\n{done.stdout}")
    return done.stdout


def source(folder: Path) -> Path:
    """Copy the module to where it can be changed. Ends the program if it is not what was reviewed."""
    found = json.loads(go("mod", "download", "-json", f"{MODULE}@{VERSION}"))
    if found["Sum"] != SUM:
        sys.exit(f"{MODULE}@{VERSION} has the checksum {found['Sum']}, not {SUM}")
    copy = folder / "source"
    shutil.copytree(found["Dir"], copy, copy_function=shutil.copyfile)
    for each in (copy, *copy.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    return copy


def free(copy: Path) -> None:
    """Let its own modules be those that were published: the folders they are replaced by are not in it."""
    replaced = json.loads(go("mod", "edit", "-json", folder=copy))["Replace"] or []
    local = [each["Old"]["Path"] for each in replaced if each["New"]["Path"].startswith(".")]
    go("mod", "edit", *(f"-dropreplace={path}" for path in local), folder=copy)


def mend(copy: Path) -> None:
    """Take `create` from the stubs that answer for features of the enterprise edition.

    The module was released with an SDK that is only in its repository; the published one of that number ends
    the server when such a path does not say how to tell whether it exists. The PKI engine is not touched.
    """
    stubs = copy / "vault" / "logical_system_helpers.go"
    stubs.write_text(stubs.read_text().replace("logical.CreateOperation, ", ""))


def main() -> None:
    """Put the server into the virtual environment, unless it is there."""
    if TARGET.exists():
        print(TARGET)
        return
    if shutil.which("go") is None:
        sys.exit("there is no Go toolchain; the tests of Vault run against the stand-in only")
    with tempfile.TemporaryDirectory() as folder:
        copy = source(Path(folder))
        free(copy)
        mend(copy)
        go("build", "-trimpath", "-ldflags=-s -w", "-o", str(TARGET), ".", folder=copy)
    print(TARGET)


if __name__ == "__main__":
    main()
