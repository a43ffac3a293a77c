"""EST bodies are what openssl's pkcs7 and asn1parse read."""

from base64 import b64decode

from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from muster.ca.authority import bundle
from muster.ca.est import certs_only, csr_attributes
from tests.ca.pki import issuing, leaf, openssl, parsed, root


def test_the_ca_certificates_come_as_pkcs7():
    """`cacerts` and enrolment replies: Base64 in lines, all certificates, nothing signed."""
    certificates = [root().certificate, issuing().certificate]
    body = certs_only(certificates)
    assert max(map(len, body.splitlines())) <= 76
    data = b64decode(body)
    assert sorted(load_der_pkcs7_certificates(data), key=certificates.index) == certificates
    printed = openssl("pkcs7", "-inform", "DER", "-print_certs", given=data)
    assert all(line in printed for line in bundle(certificates).splitlines())


def test_an_enrolment_reply_holds_one_certificate():
    """`simpleenroll` answers with the leaf alone (RFC 7030, 4.2.3)."""
    certificate = parsed(leaf().certificate)
    assert load_der_pkcs7_certificates(b64decode(certs_only([certificate]))) == [certificate]


def test_the_wished_attributes_name_key_and_signature():
    """`csrattrs`: P-256 and ECDSA with SHA-256."""
    printed = openssl("asn1parse", "-inform", "DER", given=b64decode(csr_attributes()))
    assert [line.rsplit(":", 1)[1] for line in printed.splitlines() if "OBJECT" in line] == [
        "id-ecPublicKey",
        "prime256v1",
        "ecdsa-with-SHA256",
    ]
