"""A real Vault or OpenBao for tests, where its program is there."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port
from tests.vault.standin import MOUNT, ROLE

ROOT_TOKEN = "root"
READY_SECONDS = 30
POLICY = f"""
path "{MOUNT}/sign/{ROLE}" {{ capabilities = ["update"] }}
path "{MOUNT}/revoke" {{ capabilities = ["update"] }}
path "{MOUNT}/certs" {{ capabilities = ["list"] }}
path "{MOUNT}/cert/*" {{ capabilities = ["read"] }}
"""
"""What docs/certificates.md says the token needs, and nothing more."""


def program() -> str | None:
    """Give the OpenBao or Vault on PATH, or the one that `make vault` built."""
    here = str(Path(sys.executable).parent)
    names = ("bao", "vault")
    return next(
        filter(None, (shutil.which(name, path=path) for path in (None, here) for name in names)), None
    )


class Real:
    """A server in development mode with a PKI mount, a role, and a token that may do just enough."""

    def __init__(self, folder: Path) -> None:
        found, port = program(), free_port()
        assert found is not None
        self.address = f"http://127.0.0.1:{port}"
        self._log = folder / "vault.log"
        command = [found, "server", "-dev", f"-dev-root-token-id={ROOT_TOKEN}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, f"-dev-listen-address=127.0.0.1:{port}"],
                stdout=log,
                stderr=log,
                env={"HOME": str(folder), "PATH": ""},
            )
        self._wait(200)
        self._prepare()
        self.token = self.new_token()

    def ask(self, method: str, path: str, token: str = ROOT_TOKEN, **body: Any) -> httpx.Response:
        """Ask its API."""
        with httpx.Client(base_url=self.address, headers={"X-Vault-Token": token}, timeout=30) as http:
            return http.request(method, f"/v1/{path}", json=body or None)

    def data(self, method: str, path: str, **body: Any) -> Any:
        """Ask its API, as its owner; give what comes back."""
        answer = self.ask(method, path, **body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def _wait(self, status: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text()
            try:
                if httpx.get(f"{self.address}/v1/sys/health", timeout=5).status_code == status:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(self._log.read_text())

    def _prepare(self) -> None:
        self.data("POST", f"sys/mounts/{MOUNT}", type="pki", config={"max_lease_ttl": "87600h"})
        self.data(
            "POST", f"{MOUNT}/root/generate/internal", common_name="Test CA", ttl="87600h", key_type="ec"
        )
        self.data(
            "POST",
            f"{MOUNT}/roles/{ROLE}",
            allow_any_name=True,
            enforce_hostnames=False,
            allowed_uri_sans=["https://muster.internal/*"],
            client_flag=True,
            server_flag=False,
            key_type="any",
            use_csr_common_name=False,
            use_csr_sans=False,
            max_ttl="8760h",
            no_store=False,
        )
        self.data("PUT", "sys/policies/acl/muster", policy=POLICY)

    def new_token(self, **more: Any) -> str:
        """Give a token with the policy that the documentation asks for."""
        token: str = self.data("POST", "auth/token/create", policies=["muster"], **more)["auth"][
            "client_token"
        ]
        return token

    def seconds_left(self, token: str) -> int:
        """Say how long a token still lives."""
        seconds: int = self.ask("GET", "auth/token/lookup-self", token=token).json()["data"]["ttl"]
        return seconds

    def seal(self) -> None:
        """Lock it: from now on it answers 503."""
        self.data("PUT", "sys/seal")
        self._wait(503)

    def unseal(self) -> None:
        """Unlock it with the key that it printed."""
        key = re.search(r"Unseal Key: (\S+)", self._log.read_text())
        assert key is not None
        self.data("PUT", "sys/unseal", key=key.group(1))
        self._wait(200)

    def roll_over(self) -> None:
        """Sign with another root from now on; the old one stays in the mount."""
        made = self.data(
            "POST", f"{MOUNT}/root/rotate/internal", common_name="Next CA", ttl="87600h", key_type="ec"
        )
        self.data("POST", f"{MOUNT}/config/issuers", default=made["data"]["issuer_id"])

    @property
    def certificates(self) -> list[str]:
        """The serials of what it signed for devices: it lists its own CAs, too."""
        found = self.data("LIST", f"{MOUNT}/certs")["data"]["keys"]
        read = {each: self.data("GET", f"{MOUNT}/cert/{each}")["data"] for each in found}
        cas = [self.data("GET", f"{MOUNT}/issuer/{each}")["data"] for each in self._issuers()]
        own = {each["certificate"].strip() for each in cas}
        return [
            serial.replace(":", "") for serial, each in read.items() if each["certificate"].strip() not in own
        ]

    def _issuers(self) -> list[str]:
        found: list[str] = self.data("LIST", f"{MOUNT}/issuers")["data"]["keys"]
        return found

    @property
    def revoked(self) -> list[str]:
        """The serials of what it revoked."""
        listed = self.data("LIST", f"{MOUNT}/certs")["data"]["keys"]
        read = {each: self.data("GET", f"{MOUNT}/cert/{each}")["data"] for each in listed}
        return [serial.replace(":", "") for serial, each in read.items() if each["revocation_time"]]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
