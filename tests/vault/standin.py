"""A small server that speaks Vault's HTTP.

It signs with a CA of its own, so what comes back is real; besides it can fail in the ways that
a real one fails, at the moment a test chooses.
"""

import json
import threading
import time
from datetime import timedelta
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from muster.ca.authority import bundle, make_issuing, make_root
from muster.ca.csr import read_csr
from muster.ca.leaf import issue_leaf
from muster.ca.names import read_device_uri
from muster.ca.revocation import Revoked, build_crl, crl_entry
from muster.core.model import Instant
from tests.ca.pki import crl_pem

TOKEN, MOUNT, ROLE = "root", "pki", "devices"


class Mood(Enum):
    """How the small server behaves."""

    WELL = "well"
    SEALED = "sealed"
    SLOW = "slow"
    NONSENSE = "nonsense"
    LOSES_ANSWERS = "loses answers"


def now() -> Instant:
    return Instant(time.time_ns() // 1000)


class StandIn:
    """Signs, lists, reads and revokes as the PKI engine does, over HTTP on loopback."""

    def __init__(self) -> None:
        self.mood, self.token = Mood.WELL, TOKEN
        self.ca = make_issuing(make_root(now()), now())
        self.certificates: dict[str, str] = {}
        self.revoked: dict[str, Instant] = {}
        self.wake = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.wake.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Give status and body (text or JSON)."""
        if path == f"{MOUNT}/sign/{ROLE}":
            return 200, {"data": self._sign(body)}
        if path == f"{MOUNT}/revoke":
            serial = body["serial_number"].replace(":", "")
            if serial not in self.certificates:
                return 400, {"errors": ["certificate not found"]}
            self.revoked.setdefault(serial, now())
            return 200, {"data": {"revocation_time": 1}}
        if path == f"{MOUNT}/certs" and method == "LIST":
            return 200, {"data": {"keys": [_colons(each) for each in self.certificates]}}
        if path.startswith(f"{MOUNT}/cert/"):
            pem = self.certificates.get(path.rpartition("/")[2].replace(":", "").replace("-", ""))
            return (404, {"errors": []}) if pem is None else (200, {"data": {"certificate": pem}})
        texts = {f"{MOUNT}/ca_chain": self.ca.bundle_pem, f"{MOUNT}/crl/pem": self._crl()}
        if path == f"{MOUNT}/ca_chain":
            return 200, bundle([self.ca.certificate, *self.ca.above])
        return (200, texts[path]) if path in texts else (200, {"auth": {}})

    def _sign(self, body: dict[str, Any]) -> dict[str, Any]:
        tenant, device = read_device_uri(body["uri_sans"]) or ("", "")
        names = [name for key in ("alt_names", "ip_sans") for name in body[key].split(",") if name]
        ttl = timedelta(seconds=int(body["ttl"].removesuffix("s")))
        key = read_csr(body["csr"]).public_key
        made = issue_leaf(self.ca, key, tenant_id=tenant, device_id=device, ttl=ttl, now=now(), names=names)
        self.certificates[made.serial] = made.certificate
        chain = [bundle([each]) for each in (self.ca.certificate, *self.ca.above)]
        return {"certificate": made.certificate, "issuing_ca": chain[0], "ca_chain": chain}

    def _crl(self) -> str:
        entries = [crl_entry(Revoked(serial, at)) for serial, at in self.revoked.items()]
        return crl_pem(build_crl(self.ca, entries, number=1, now=now()))


def _colons(serial: str) -> str:
    return ":".join(serial[place : place + 2] for place in range(0, len(serial), 2))


def _handler(vault: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def _do(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(size) or b"{}")
            path = unquote(self.path).removeprefix("/v1/")
            if vault.mood is Mood.SLOW:
                vault.wake.wait(30)
            if vault.mood is Mood.SEALED:
                self._send(503, {"errors": ["Vault is sealed"]})
                return
            if self.headers.get("X-Vault-Token") != TOKEN:
                self._send(403, {"errors": ["permission denied"]})
                return
            status, answer = vault.answer(self.command, path, body)
            if vault.mood is Mood.LOSES_ANSWERS and "/sign/" in path:
                return
            self._send(status, {"data": {"certificate": "moo"}} if vault.mood is Mood.NONSENSE else answer)

        def _send(self, status: int, answer: Any) -> None:
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            kind = "text/plain" if isinstance(answer, str) else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_LIST = _do  # noqa: N815 the library's names

    return Handler


def serial_of(pem: str) -> int:
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def der_of(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
