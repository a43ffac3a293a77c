"""A small PKI: a server and device CAs of EC and RSA, with and without an intermediate."""

import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

import trustme

EC, RSA = trustme.KeyType.ECDSA, trustme.KeyType.RSA


@dataclass(frozen=True)
class Party:
    """Who can show a certificate: chain (leaf first) and key as PEM."""

    chain_pem: bytes
    key_pem: bytes

    @property
    def chain_der(self) -> list[bytes]:
        ends = b"-----END CERTIFICATE-----\n"
        pems = [part + ends for part in self.chain_pem.split(ends) if part.strip()]
        return [ssl.PEM_cert_to_DER_cert(pem.decode()) for pem in pems]

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain.write_bytes(self.chain_pem)
        key.write_bytes(self.key_pem)
        return chain, key


def issue(ca: trustme.CA, name: str, key_type: trustme.KeyType = EC) -> Party:
    leaf = ca.issue_cert(name, common_name=name, key_type=key_type)
    return Party(b"".join(pem.bytes() for pem in leaf.cert_chain_pems), leaf.private_key_pem.bytes())


@dataclass(frozen=True)
class Pki:
    root: trustme.CA
    server: Party
    devices: dict[str, Party]

    def client(
        self, device: Party | None, folder: Path, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.root.configure_trust(context)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if device is not None:
            context.load_cert_chain(*device.write(folder, "device"))
        return context


Run = Callable[[Coroutine[object, object, None]], None]
