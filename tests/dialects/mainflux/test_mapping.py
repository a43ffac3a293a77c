"""One call that provisions a gateway (spec C), in this dialect's words."""

import asyncio
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from tests.dialects.mainflux.conftest import NewHouse
from tests.dialects.mainflux.house import JSON, PASSWORD, House

pytestmark = pytest.mark.anyio


async def test_one_call_makes_everything_and_the_agent_can_start(house: House):
    """The reply of the seed; the agent then gets two channels, control first, and content it can parse."""
    token = await house.user()
    body = {"external_id": house.own("33:52:77:99:43"), "external_key": "223334fw2"}
    made = (await house.seen("provision", 201, "POST", "/mapping", token, json=body)).json()
    assert ["things", "channels", "whitelisted"] == list(made)
    assert ["control-channel", "data-channel"] == [channel["name"] for channel in made["channels"]]
    thing = made["things"][0]
    assert {thing["id"]: True} == made["whitelisted"]
    assert {"external_id": body["external_id"]} == thing["metadata"]
    got = (await house.call("GET", f"/things/bootstrap/{body['external_id']}", "Thing 223334fw2")).json()
    assert (thing["id"], thing["key"]) == (got["mainflux_id"], got["mainflux_key"])
    assert ["control", "data"] == [c["metadata"]["type"] for c in got["mainflux_channels"]]
    assert {} == json.loads(got["content"])
    assert 2 == (await house.call("GET", f"/things/{thing['id']}/channels", token)).json()["total"]


async def test_the_thing_takes_the_name_that_is_asked_for(house: House):
    """As upstream's document says."""
    token = await house.user()
    body = {"name": "edge-gw", "external_id": house.own("gateway"), "external_key": "external_key"}
    made = (await house.call("POST", "/mapping", token, json=body)).json()
    assert ["edge-gw"] == [thing["name"] for thing in made["things"]]


async def test_the_same_call_again_gives_the_same_answer(house: House):
    """Also many times at once; another key, name or layout is a conflict, and nothing changes."""
    token = await house.user()
    body = {"external_id": house.own("gw"), "external_key": "key"}
    answers = await asyncio.gather(*(house.call("POST", "/mapping", token, json=body) for _ in range(16)))
    assert {201} == {answer.status_code for answer in answers}
    assert 1 == len({answer.content for answer in answers})
    for change in ({"external_key": "other"}, {"name": "other"}):
        answer = await house.call("POST", "/mapping", token, json={**body, **change})
        assert (409, b"") == (answer.status_code, answer.content)
    assert 1 == (await house.call("GET", "/things", token)).json()["total"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {"external_key": "key"}}, 400),
        ({"json": {"external_id": "gw"}}, 400),
        ({"json": {"external_id": "gw", "external_key": 1}}, 400),
        ({"json": {"external_id": "gw", "external_key": "x" * 1025}}, 400),
        ({"json": []}, 400),
        ({"content": "", "headers": JSON}, 400),
        ({"content": "{", "headers": JSON}, 400),
        ({"content": "{}"}, 415),
        ({"content": "{}", "headers": {"Content-Type": "application/json; charset=utf-8"}}, 415),
    ],
)
async def test_a_wrong_call_changes_nothing_and_says_no_word(house: House, request_: dict, status: int):
    """The true status with an empty body, where upstream said 201 (spec C.3)."""
    token = await house.user()
    answer = await house.call("POST", "/mapping", token, **request_)
    assert (status, b"") == (answer.status_code, answer.content)
    assert 0 == (await house.call("GET", "/things", token)).json()["total"]


async def test_nobody_provisions_nothing(house: House):
    """401 without a body: no token, a wrong one, and no user is configured."""
    body = {"external_id": house.own("gw"), "external_key": "key"}
    for token in ("nonsense", "a.b.c"):
        answer = await house.call("POST", "/mapping", token, json=body)
        assert (401, b"") == (answer.status_code, answer.content)
    answer = await house.call("POST", "/mapping", json=body, port=8190)
    assert (401, b"") == (answer.status_code, answer.content)


async def test_a_layout_of_things_makes_calls_without_header_ours(new_house: NewHouse, tmp_path: Path):
    """The table of the layout tells the dialect; the configured user calls; the layout is made."""
    (tmp_path / "config.toml").write_text(
        """
        [bootstrap.content.agent.server]
          port = "9000"
        [[things]]
          name = "gateway"
          [things.metadata]
            external_id = "xxxxxx"
        [[things]]
          name = "export"
        [[channels]]
          name = "export-channel"
          [channels.metadata]
            type = "export"
        [[channels]]
          name = "control-channel"
          [channels.metadata]
            type = "control"
        """
    )
    email = "configured@email.com"
    house = await new_house(MF_PROVISION_USER=email, MF_PROVISION_PASSWORD=PASSWORD)
    assert (
        201 == (await house.call("POST", "/users", json={"email": email, "password": PASSWORD})).status_code
    )
    body = {"external_id": house.own("gw"), "external_key": "key", "name": "edge"}
    answer = await house.call("POST", "/mapping", json=body)
    assert 201 == answer.status_code
    made = answer.json()
    assert ["edge", "edge_export"] == [thing["name"] for thing in made["things"]]
    got = (await house.call("GET", f"/things/bootstrap/{body['external_id']}", "key")).json()
    assert {"agent": {"server": {"port": "9000"}}} == json.loads(got["content"])
    assert ["control", "export"] == [channel["metadata"]["type"] for channel in got["mainflux_channels"]]
    content = await house.seen("getLayoutContent", 200, "GET", "/mapping")
    assert {"agent": {"server": {"port": "9000"}}} == content.json()
    wrong = await house.call("POST", "/mapping", json={})
    assert (400, b"") == (wrong.status_code, wrong.content)


async def test_without_such_a_layout_a_call_without_header_is_the_other_dialects(house: House):
    """Its error has two parts; on the port of this dialect's service it has none."""
    theirs, ours = await house.call("GET", "/mapping"), await house.call("GET", "/mapping", port=8190)
    assert (401, ["error", "message"]) == (theirs.status_code, list(theirs.json()))
    assert (401, b"") == (ours.status_code, ours.content)


# --- with certificates -------------------------------------------------------------------------------------

LAYOUT = """
    [bootstrap]
      x509_provision = true
    [[things]]
      name = "gateway"
      [things.metadata]
        external_id = "xxxxxx"
    [[things]]
      name = "export"
    [[channels]]
      name = "control-channel"
      [channels.metadata]
        type = "control"
"""


@pytest.mark.parametrize("is_in_layout", [True, False])
async def test_each_thing_gets_a_certificate_and_the_agent_fetches_its_own(
    new_house: NewHouse, tmp_path: Path, is_in_layout: bool
):
    """By the layout or upstream's variable: one for each thing; the gateway's is in its bootstrap reply."""
    if is_in_layout:
        (tmp_path / "config.toml").write_text(LAYOUT)
    house = await new_house(**({} if is_in_layout else {"MF_PROVISION_X509_PROVISIONING": "true"}))
    token = await house.user()
    made = await house.mapped(token)
    assert ["things", "channels", "client_cert", "client_key", "ca_cert", "whitelisted"] == list(made)
    things = [thing["id"] for thing in made["things"]]
    assert (2 if is_in_layout else 1) == len(things)
    assert things == list(made["client_cert"]) == list(made["client_key"])
    for thing in things:
        certificate = x509.load_pem_x509_certificate(made["client_cert"][thing].encode())
        key = load_pem_private_key(made["client_key"][thing].encode(), None)
        assert [thing] == [n.value for n in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        assert certificate.public_key() == key.public_key()
        known = x509.load_pem_x509_certificates(made["ca_cert"].encode())
        (authority,) = [each for each in known if each.subject == certificate.issuer]
        certificate.verify_directly_issued_by(authority)
    fetched = (await house.call("GET", f"/things/bootstrap/{house.own('gw')}", "key")).json()
    assert made["client_cert"][things[0]] == fetched["client_cert"]
    assert made["client_key"][things[0]] == fetched["client_key"]
    assert made["ca_cert"] == fetched["ca_cert"]
    assert made == await house.mapped(token)
    listed = (await house.call("GET", f"/certs/{things[0]}", token)).json()
    assert [made["client_cert"][things[0]]] == [each["cert"] for each in listed["certs"]]


async def test_a_gateway_that_made_its_own_key_keeps_it(new_house: NewHouse):
    """With a signing request nobody else ever has the key, not even the bootstrap reply."""
    house = await new_house(MF_PROVISION_X509_PROVISIONING="true")
    token, key = await house.user(), ec.generate_private_key(ec.SECP256R1())
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    body = {
        "external_id": house.own("gw"),
        "external_key": "key",
        "csr": asked.public_bytes(Encoding.PEM).decode(),
    }
    made = (await house.call("POST", "/mapping", token, json=body)).json()
    (certificate,) = made["client_cert"].values()
    assert key.public_key() == x509.load_pem_x509_certificate(certificate.encode()).public_key()
    fetched = (await house.call("GET", f"/things/bootstrap/{house.own('gw')}", "key")).json()
    assert certificate == fetched["client_cert"]
    assert "client_key" not in {**fetched, **made}


async def test_without_certificates_the_reply_has_none(house: House):
    """Nor has the bootstrap reply: the members are left out, as upstream does."""
    token = await house.user()
    made = await house.mapped(token)
    fetched = (await house.call("GET", f"/things/bootstrap/{house.own('gw')}", "key")).json()
    assert set() == {"client_cert", "client_key", "ca_cert"} & {*made, *fetched}
