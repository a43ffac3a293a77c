"""An uploaded certificate is taken apart, whatever way it was written down."""

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from muster.ca.dn import dn_der, dn_text
from muster.ca.facts import read_certificate, read_public_key
from muster.ca.keys import KeyKind, WeakKey, make_key, spki_der
from muster.ca.verify import Anchor, verify_chain
from muster.core.errors import Malformed
from tests.ca.pki import KEY, NOW, Foreign, days, der, leaf, rsa_key, subject

CA = Foreign("Tenant CA")


def test_a_certificate_is_taken_apart():
    """Names in the one spelling, key, validity, serial, and whether it is a CA."""
    certificate = CA.sign(name=subject("d, e", o="Tenant"), serial=0xABC)
    found = read_certificate(der(certificate))
    assert (found.subject_dn, found.issuer_dn) == (dn_text(dn_der("CN=d\\, e, O=Tenant")), "CN=Tenant CA")
    assert (found.serial, found.is_ca, found.algorithm) == ("0abc", False, "EC")
    assert (found.not_before, found.not_after) == (days(-365), days(365))
    assert found.fingerprint == certificate.fingerprint(SHA256())
    assert found.spki_der == spki_der(KEY.public_key())
    assert read_certificate(CA.der).is_ca


def test_every_usual_spelling_is_read():
    """PEM, DER and Base64, as bytes and text."""
    plain, pem = CA.der, CA.certificate.public_bytes(Encoding.PEM)
    spellings = [plain, pem, pem.decode(), b64encode(plain), b64encode(plain).decode() + "\n"]
    assert {read_certificate(each).der for each in spellings} == {plain}


@pytest.mark.parametrize(
    ("kind", "name"), [(KeyKind.P384, "EC"), (KeyKind.ED25519, "EdDSA"), (KeyKind.RSA2048, "RSA")]
)
def test_the_algorithm_is_named_as_java_does(kind, name):
    """Hono's tenants carry it."""
    key = rsa_key() if kind is KeyKind.RSA2048 else make_key(kind)
    assert read_certificate(der(CA.sign(key.public_key()))).algorithm == name


def test_the_facts_make_an_anchor():
    """What a tenant keeps of its CA is enough to accept its devices, also with the name typed by hand."""
    found = read_certificate(CA.der)
    trusted = Anchor(tag="t", subject_der=found.subject_der, spki_der=found.spki_der)
    assert verify_chain(der(CA.sign()), [], [trusted], NOW).anchor == trusted


def test_what_is_no_certificate_is_refused():
    """Nothing, text, a truncated one, an oversized one, a weak one."""
    for data in (b"", "x", "é", CA.der[:-9], b"0" * 40_000, "-----BEGIN CERTIFICATE-----\nAA\n"):
        with pytest.raises(Malformed):
            read_certificate(data)
    with pytest.raises(WeakKey):
        read_certificate(der(CA.sign(rsa.generate_private_key(65537, 1024).public_key())))


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_certificate_is_no_traceback(place, octet):
    """One wrong byte: readable or refused."""
    raw = bytearray(der(leaf().certificate))
    raw[place % len(raw)] = octet
    try:
        assert read_certificate(bytes(raw)).der
    except Malformed:
        return


def test_a_public_key_is_read():
    """Strong ones come back, others are refused."""
    assert spki_der(read_public_key(spki_der(KEY.public_key()))) == spki_der(KEY.public_key())
    with pytest.raises(Malformed):
        read_public_key(b"nonsense")
    with pytest.raises(WeakKey):
        read_public_key(spki_der(rsa.generate_private_key(65537, 1024).public_key()))
