"""A rollover in one process is known to all the others the first time somebody asks about the new CA."""

from collections.abc import AsyncIterator, Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from muster.assembly.signing import OwnCa
from muster.ca.keys import make_key
from muster.core.certificates import AuthorityView, CertificateRequest, Issued
from muster.core.errors import NotFound, Unauthenticated
from muster.core.keyholders import Sealer
from muster.core.ports import Tx
from muster.store.engine import AnyStore, open_store
from tests.vault.standin import der_of, now

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", ["sqlite", "postgresql"])]
DAY = CertificateRequest(ttl_seconds=86_400)


@pytest.fixture
async def store(kind: str, database_url: Callable[..., str], keyring: Sealer) -> AsyncIterator[AnyStore]:
    opened = open_store(database_url(kind, is_migrated=True), keyring, now)
    yield opened
    opened.close()


@pytest.fixture
async def processes(store: AnyStore) -> AsyncIterator[list[OwnCa]]:
    """Two CAs on one database, as two workers have them; the second looked at it just now."""
    made = [OwnCa(store, now, "http://localhost") for _ in range(2)]
    for each in made:
        await each.load()
    yield made
    for each in made:
        each.close()


def _roll_over(ca: OwnCa) -> Callable[[Tx], list[AuthorityView]]:
    return lambda tx: ca.roll_over(tx, with_root=True)


async def _issued_after_rollover(store: AnyStore, ca: OwnCa) -> Issued:
    before = ca.current.id
    await store.run(_roll_over(ca))
    await ca.authorities()
    assert before != ca.current.id
    return ca.sign("t", "d", DAY, now(), make_key())


async def test_a_certificate_of_a_new_ca_is_good_everywhere(store: AnyStore, processes: list[OwnCa]) -> None:
    """The other process verifies it at once."""
    first, second = processes
    made = await _issued_after_rollover(store, first)
    assert made.fingerprint == (await second.verify([der_of(made.certificate)])).fingerprint


async def test_the_list_of_a_new_ca_is_given_everywhere(store: AnyStore, processes: list[OwnCa]) -> None:
    """At the address that the new certificate names."""
    first, second = processes
    made = await _issued_after_rollover(store, first)
    listed = x509.load_der_x509_crl((await second.revocation_list(made.issuer_id)).der)
    assert first.current.certificate.subject == listed.issuer


async def test_questions_about_a_new_ca_are_answered_everywhere(
    store: AnyStore, processes: list[OwnCa]
) -> None:
    """OCSP by request: not `unauthorized`, which clients may remember."""
    first, second = processes
    made = await _issued_after_rollover(store, first)
    leaf = x509.load_pem_x509_certificate(made.certificate.encode())
    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, first.current.certificate, SHA1()).build()
    answer = ocsp.load_der_ocsp_response(await second.ocsp(asked.public_bytes(Encoding.DER)))
    assert ocsp.OCSPResponseStatus.SUCCESSFUL is answer.response_status


async def test_a_new_ca_is_shown_everywhere(store: AnyStore, processes: list[OwnCa]) -> None:
    """Its certificate by id, and in the bundle that EST and downloads give."""
    first, second = processes
    await _issued_after_rollover(store, first)
    assert first.current.der == await second.authority(first.current.id)
    await _issued_after_rollover(store, first)
    assert first.ca_bundle == await second.bundle()


async def test_what_nobody_knows_stays_unknown(store: AnyStore, processes: list[OwnCa]) -> None:
    """Looking again makes nothing up."""
    second = processes[1]
    stranger = OwnCa(store, now, "http://localhost")
    for ask in (second.revocation_list, second.authority):
        with pytest.raises(NotFound):
            await ask("ffff")
    stranger.close()
    with pytest.raises(Unauthenticated):
        await second.verify([b"no certificate"])
