"""CAs that want to be asked whether a certificate is revoked (spec A.4): a responder on loopback."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from muster.assembly.certificates import Certificates
from muster.assembly.gate import MQTT
from muster.assembly.identifier import Identifier
from muster.assembly.revocations import Revocations
from muster.ca.authority import moment
from muster.ca.keys import make_key
from muster.core.errors import Unauthenticated, Unavailable
from muster.core.throttle import Throttle
from muster.plane.adapter.ports import Evidence
from muster.web.outgoing import Outgoing
from tests.ca.pki import Foreign, der
from tests.dialects.hono.desk import Door, b64
from tests.dialects.hono.receiver import Call, receiver

pytestmark = pytest.mark.anyio
SIGNING = (ExtendedKeyUsageOID.OCSP_SIGNING,)


class Responder:
    """Answers for a CA; every part of the answer can be chosen."""

    def __init__(self, door: Door, ca: Foreign) -> None:
        self.door, self.ca = door, ca
        self.status = ocsp.OCSPCertStatus.GOOD
        self.age, self.lasts = timedelta(0), timedelta(hours=1)
        self.key, self.certificate = ca.key, ca.certificate
        self.shown: list[x509.Certificate] = []
        self.nonce: Callable[[bytes], bytes] | None = lambda asked: asked
        self.number = 0

    def __call__(self, call: Call) -> bytes:
        asked = ocsp.load_der_ocsp_request(call.body)
        now = moment(self.door.clock()).replace(microsecond=0) - self.age
        is_revoked = self.status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=asked.issuer_name_hash,
            issuer_key_hash=asked.issuer_key_hash,
            serial_number=asked.serial_number + self.number,
            algorithm=asked.hash_algorithm,
            cert_status=self.status,
            this_update=now,
            next_update=now + self.lasts,
            revocation_time=now if is_revoked else None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        if self.shown:
            builder = builder.certificates(self.shown)
        sent = [each.value.nonce for each in asked.extensions if isinstance(each.value, x509.OCSPNonce)]
        if sent and self.nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(self.nonce(sent[0])), critical=False)
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.DER)


class Plant:
    def __init__(self, door: Door, ca: Foreign) -> None:
        self.door, self.ca = door, ca
        self.responder = Responder(door, ca)
        outgoing = Outgoing(allows_private=True)
        self.identifier = Identifier(
            door.store,
            door.passwords,
            Certificates(),
            door.clock,
            Throttle(limit=50, period=60),
            revocations=Revocations(outgoing, door.clock),
        )

    async def open(self, **ca: Any) -> None:
        trusted = {"cert": b64(self.ca.der), "auto-provisioning-enabled": True}
        await self.door.tenant(**{"trusted-ca": [trusted | {"ocsp-revocation-enabled": True} | ca]})

    async def knock(self, *chain: bytes) -> str:
        evidence = Evidence(chain_der=chain, sni=None, password=None, client_id="", source="203.0.113.7")
        return (await self.identifier.identify(evidence, MQTT)).credential.auth_id


def place(port: int) -> dict[str, Any]:
    return {"ocsp-responder-uri": f"http://127.0.0.1:{port}/ocsp"}


def named() -> Foreign:
    return Foreign(f"Plant {uuid.uuid4().hex}")


@pytest.fixture
def plant(door: Door) -> Plant:
    return Plant(door, named())


async def test_a_good_certificate_lets_its_device_in(plant: Plant):
    """It is asked once a minute, with a nonce if the tenant wants one."""
    async with receiver(statuses=[200], answer_to=plant.responder) as asked:
        await plant.open(**place(asked.port), **{"ocsp-nonce-enabled": True})
        leaf = der(plant.ca.sign(name="d"))
        assert ["CN=d", "CN=d"] == [await plant.knock(leaf) for _ in range(2)]
    assert 1 == len(asked.calls)
    assert "application/ocsp-request" == asked.calls[0].headers["content-type"]


async def test_the_certificate_itself_may_say_where_to_ask(plant: Plant):
    """Without a URI the AIA extension counts; without either nobody gets in."""
    async with receiver(statuses=[200], answer_to=plant.responder) as asked:
        await plant.open()
        uri = x509.UniformResourceIdentifier(f"http://127.0.0.1:{asked.port}/")
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, uri)
        named = plant.ca.sign(name="d", extensions=[(x509.AuthorityInformationAccess([access]), False)])
        assert "CN=d" == await plant.knock(der(named))
        with pytest.raises(Unauthenticated, match="where to ask"):
            await plant.knock(der(plant.ca.sign(name="e")))


def revoked(of: Responder) -> None:
    of.status = ocsp.OCSPCertStatus.REVOKED


def unknown(of: Responder) -> None:
    of.status = ocsp.OCSPCertStatus.UNKNOWN


def stale(of: Responder) -> None:
    of.age = timedelta(hours=2)


def early(of: Responder) -> None:
    of.age = timedelta(hours=-1)


def other_key(of: Responder) -> None:
    stranger = Foreign("Stranger")
    of.key, of.certificate = stranger.key, stranger.certificate


def other_serial(of: Responder) -> None:
    of.number = 1


def other_nonce(of: Responder) -> None:
    of.nonce = lambda asked: bytes(len(asked))


def no_nonce(of: Responder) -> None:
    of.nonce = None


def own_delegate(of: Responder) -> None:
    stranger = Foreign("Stranger")
    of.key = make_key()
    of.shown = [stranger.sign(of.key.public_key(), "responder", purposes=SIGNING)]
    of.certificate = of.shown[0]


def delegate_for_something_else(of: Responder) -> None:
    of.key = make_key()
    of.shown = [of.ca.sign(of.key.public_key(), "responder")]
    of.certificate = of.shown[0]


def expired_delegate(of: Responder) -> None:
    of.key = make_key()
    of.shown = [of.ca.sign(of.key.public_key(), "responder", purposes=SIGNING, end=timedelta(days=-1))]
    of.certificate = of.shown[0]


@pytest.mark.parametrize(
    "fault",
    [
        revoked,
        unknown,
        stale,
        early,
        other_key,
        other_serial,
        other_nonce,
        no_nonce,
        own_delegate,
        delegate_for_something_else,
        expired_delegate,
    ],
)
async def test_whatever_is_not_a_good_answer_lets_nobody_in(plant: Plant, fault: Callable[[Responder], None]):
    """Nor does it create anything."""
    fault(plant.responder)
    async with receiver(statuses=[200], answer_to=plant.responder) as asked:
        await plant.open(**place(asked.port), **{"ocsp-nonce-enabled": True})
        with pytest.raises(Unauthenticated):
            await plant.knock(der(plant.ca.sign(name="d")))
    assert 1 == len(asked.calls)


async def test_a_responder_that_the_ca_made_or_the_tenant_trusts_may_sign(plant: Plant):
    """RFC 6960, 4.2.2.2: a delegate shows its certificate; one the tenant names needs to show none."""
    of = plant.responder
    of.key = make_key()
    of.certificate = plant.ca.sign(of.key.public_key(), "responder", purposes=SIGNING)
    async with receiver(statuses=[200] * 2, answer_to=of) as asked:
        await plant.open(**place(asked.port), **{"ocsp-responder-cert": b64(der(of.certificate))})
        assert "CN=d" == await plant.knock(der(plant.ca.sign(name="d")))
    other = Plant(plant.door, named())
    of = other.responder
    of.key = make_key()
    of.shown = [other.ca.sign(of.key.public_key(), "responder", purposes=SIGNING)]
    of.certificate = of.shown[0]
    async with receiver(statuses=[200], answer_to=of) as asked:
        await other.open(**place(asked.port))
        assert "CN=d" == await other.knock(der(other.ca.sign(name="d")))


async def test_without_an_answer_nobody_gets_in_now(plant: Plant):
    """Not refused for good: the device may come again. Nor does an answer that is none help."""
    async with receiver() as gone:
        port = gone.port
    await plant.open(**place(port))
    with pytest.raises(Unavailable, match="OCSP responder"):
        await plant.knock(der(plant.ca.sign(name="d")))
    other = Plant(plant.door, named())
    async with receiver(statuses=[500, 200], answer_to=lambda _: b"none") as asked:
        await other.open(**place(asked.port))
        with pytest.raises(Unavailable, match="500"):
            await other.knock(der(other.ca.sign(name="d")))
        with pytest.raises(Unauthenticated, match="cannot be read"):
            await other.knock(der(other.ca.sign(name="d")))


async def test_a_sub_ca_answers_for_what_it_issued(plant: Plant):
    """The question names the real issuer, whatever else the device sends along."""
    line = Foreign("Line", above=plant.ca)
    plant.responder.key, plant.responder.certificate = line.key, line.certificate
    false = Foreign("Line")
    async with receiver(statuses=[200], answer_to=plant.responder) as asked:
        await plant.open(**place(asked.port))
        assert "CN=d" == await plant.knock(der(line.sign(name="d")), false.der, line.der)
