"""What the load of the kill test does with certificates: the operator's way, and the device's (RFC 7030)."""

import base64
import json
import uuid

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tests.ca.pki import csr
from tests.journeys.kill_works import Acknowledged, Headers, total


class _Certified(Acknowledged):
    """Devices of a domain, each with a key of its own."""

    def __init__(self, headers: Headers, domain: str) -> None:
        super().__init__()
        self._headers, self._domain = headers, domain
        self._requests: dict[str, x509.CertificateSigningRequest] = {}
        self.serials: list[str] = []
        """Of certificates that were acknowledged."""

    def request(self, name: str) -> x509.CertificateSigningRequest:
        """Give the device's signing request, the same each time."""
        if name not in self._requests:
            self._requests[name] = csr(ec.generate_private_key(ec.SECP256R1()), name=name)
        return self._requests[name]

    async def view(self, http: httpx.AsyncClient, serial: str) -> httpx.Response:
        """Show a certificate."""
        return await http.get(f"/{self._domain}/certs/{serial}", headers=self._headers)

    def expect_good(self, http: httpx.Client, serials: list[str]) -> None:
        """Assert that these are there and good."""
        for serial in serials:
            shown = http.get(f"/{self._domain}/certs/{serial}", headers=self._headers)
            assert 200 == shown.status_code, f"{serial}: {shown.text}"
            assert not shown.json().get("revoked")


class Renewals(_Certified):
    """A client's certificate is issued, renewed, and the first one revoked."""

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        client = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        new = {"id": client, "name": name}
        made = await http.post(f"/{self._domain}/clients", json=new, headers=self._headers)
        self.once(client, made, 201)
        signing = {"csr": self.request(name).public_bytes(Encoding.PEM).decode(), "ttl": "10h"}
        first = await self._certificate(http, f"{name} first", f"csrs/{client}", signing)
        second = await self._certificate(http, f"{name} second", f"{first}/renew", signing)
        done = await http.patch(f"/{self._domain}/certs/{first}/revoke", headers=self._headers)
        self.once(f"{name} revoked", done, 204)
        shown = [(await self.view(http, serial)).json().get("revoked", False) for serial in (first, second)]
        assert [True, False] == shown

    async def _certificate(self, http: httpx.AsyncClient, key: str, path: str, body: dict[str, str]) -> str:
        headers = {**self._headers, "Idempotency-Key": key}
        answer = await http.post(f"/{self._domain}/certs/{path}", json=body, headers=headers)
        self.same(key, answer, 200)
        return str(answer.json()["serial_number"])

    def expect(self, http: httpx.Client, count: int) -> None:
        assert count == len([key for key in self.known if key.endswith(" revoked")])
        assert count == total(http, f"/{self._domain}/clients", self._headers)
        seconds = [json.loads(answer) for key, answer in self.known.items() if key.endswith(" second")]
        self.expect_good(http, [each["serial_number"] for each in seconds])


class Enrolments(_Certified):
    """A gateway of /mapping enrols over TLS with its external key, and once more."""

    def __init__(self, headers: Headers, domain: str, secure: str) -> None:
        """*secure* is the address of HTTPS."""
        super().__init__(headers, domain)
        self._secure = secure

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        body = {"external_id": name, "external_key": f"key of {name}"}
        made = await http.post(f"/{self._domain}/mapping", json=body, headers=self._headers)
        assert 201 == made.status_code, made.text
        self.known[name] = b""
        for way in ("simpleenroll", "simplereenroll"):
            answer = await http.post(
                f"{self._secure}/.well-known/est/{way}",
                content=self.request(name).public_bytes(Encoding.DER),
                headers={"Content-Type": "application/pkcs10"},
                auth=(name, f"key of {name}"),
            )
            assert 200 == answer.status_code, answer.text
            (issued,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer.content))
            assert issued.public_key() == self.request(name).public_key()
            self.serials.append(f"{issued.serial_number:x}")

    def expect(self, http: httpx.Client, count: int) -> None:
        assert count == len(self.known)
        assert len(self.serials) == len(set(self.serials))
        self.expect_good(http, self.serials)
