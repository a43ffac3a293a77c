"""Certificates of things (spec B.6)."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from tests.dialects.mainflux.conftest import NewHouse
from tests.dialects.mainflux.house import House, unknown

pytestmark = pytest.mark.anyio

SEED = ["ThingID", "ClientCert", "IssuingCA", "CAChain", "ClientKey", "PrivateKeyType", "Serial", "Expire"]
CLIENTS = ["thing_id", "cert", "cert_key", "cert_serial", "ca_cert"]


async def test_a_certificate_is_issued_listed_and_revoked(house: House):
    """201 with the names of the seed and of the clients, a list with status 201 (sic), 200 with a time."""
    token = await house.user()
    thing = await house.new("things", token)
    body = {"thing_id": thing["id"], "key_type": "ec", "key_bits": 256, "valid": "24h"}
    made = (await house.seen("issueCert", 201, "POST", "/certs", token, json=body)).json()
    assert set(SEED) | set(CLIENTS) <= set(made)
    certificate = x509.load_pem_x509_certificate(made["cert"].encode())
    assert [thing["id"]] == [
        name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    key = load_pem_private_key(made["cert_key"].encode(), None)
    assert certificate.public_key() == key.public_key()
    assert made["cert"] == made["ClientCert"]
    path = f"/certs/{thing['id']}"
    await house.seen("listCerts", 201, "GET", path, token)
    await house.seen("revokeCert", 200, "DELETE", path, token)
    assert [True] == [cert["revoked"] for cert in (await house.call("GET", path, token)).json()["certs"]]


async def test_the_seeds_requests_work_as_printed(house: House):
    """`rsa_bits` on the way in, a body for the revocation."""
    token = await house.user()
    thing = await house.new("things", token)
    body = {"thing_id": thing["id"], "rsa_bits": 2048, "key_type": "rsa"}
    made = (await house.call("POST", "/certs", token, json=body)).json()
    key = x509.load_pem_x509_certificate(made["ClientCert"].encode()).public_key()
    assert isinstance(key, RSAPublicKey)
    assert 2048 == key.key_size
    body = {"thing_id": thing["id"]}
    await house.seen("revokeCerts", 200, "DELETE", "/certs/revoke", token, json=body)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"thing_id": ""}, 400),
        ({"thing_id": unknown()}, 404),
        ({"key_type": "stone"}, 400),
        ({"key_type": "rsa", "key_bits": 13}, 400),
        ({"valid": "tomorrow"}, 400),
        ({"valid": "0s"}, 400),
        ({"days_valid": -1}, 400),
        ([], 400),
    ],
)
async def test_a_wrong_request_says_no_word(house: House, body: dict | list, status: int):
    """The true status, where upstream said 500, and an empty body (spec B.6)."""
    token = await house.user()
    thing = await house.new("things", token)
    if isinstance(body, dict) and body and "thing_id" not in body:
        body = {"thing_id": thing["id"], **body}
    answer = await house.call("POST", "/certs", token, json=body)
    assert (status, b"") == (answer.status_code, answer.content)
    assert 0 == (await house.call("GET", f"/certs/{thing['id']}", token)).json()["total"]


async def test_a_foreign_things_certificates_are_not_there(house: House):
    """Nobody issues, lists or revokes them but those who may."""
    john, jane = await house.user("john"), await house.user("jane")
    hers = (await house.new("things", jane))["id"]
    assert 201 == (await house.call("POST", "/certs", jane, json={"thing_id": hers})).status_code
    for thing in (hers, unknown()):
        for method, path, body in (
            ("POST", "/certs", {"thing_id": thing}),
            ("GET", f"/certs/{thing}", None),
            ("DELETE", f"/certs/{thing}", None),
            ("DELETE", "/certs/revoke", {"thing_id": thing}),
        ):
            answer = await house.call(method, path, john, json=body)
            assert (method, path, 404, b"") == (method, path, answer.status_code, answer.content)
    listed = (await house.call("GET", f"/certs/{hers}", jane)).json()["certs"]
    assert [False] == [cert["revoked"] for cert in listed]


async def test_one_call_makes_certificates_where_the_layout_does(new_house: NewHouse):
    """In the reply and in what the gateway fetches."""
    house = await new_house(MF_PROVISION_X509_PROVISIONING="true")
    token = await house.user()
    made = await house.mapped(token)
    thing = made["things"][0]["id"]
    got = (await house.call("GET", f"/things/bootstrap/{house.own('gw')}", "key")).json()
    assert (made["client_cert"][thing], made["client_key"][thing]) == (got["client_cert"], got["client_key"])
    assert made["ca_cert"] == got["ca_cert"]
    key = x509.load_pem_x509_certificate(got["client_cert"].encode()).public_key()
    assert isinstance(key, EllipticCurvePublicKey)
