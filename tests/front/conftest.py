"""A small PKI, and both event loops."""

import asyncio

import pytest
import trustme
import uvloop

from tests.front.tls_kit import EC, RSA, Pki, Run, issue
from tests.ports import free_port


@pytest.fixture(scope="session")
def pki() -> Pki:
    root = trustme.CA(key_type=EC)
    ec, rsa = trustme.CA(key_type=EC), trustme.CA(key_type=RSA)
    devices = {
        "ec": issue(ec, "device-ec"),
        "ec-intermediate": issue(ec.create_child_ca(key_type=EC), "device-ec-i"),
        "rsa": issue(rsa, "device-rsa", RSA),
        "rsa-intermediate": issue(rsa.create_child_ca(key_type=RSA), "device-rsa-i", RSA),
    }
    return Pki(root, issue(root, "localhost"), devices)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Both event loops drive TLS differently."""
    return request.param


@pytest.fixture
def unused_port() -> int:
    return free_port()
