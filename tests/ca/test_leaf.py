"""What a device's certificate says, and what nobody can make it say."""

import os
import ssl
import threading
from base64 import b64encode
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from muster.ca.authority import make_issuing, make_root, new_serial, serial_text
from muster.ca.csr import MAX_CSR, read_csr
from muster.ca.keys import KeyKind, WeakKey, make_key, read_key, spki_sha256
from muster.ca.leaf import Urls, issue_leaf, issue_server
from muster.core.errors import Malformed, Unavailable
from tests.ca.pki import (
    KEY,
    NOW,
    TODAY,
    YEAR,
    csr,
    days,
    issuing,
    leaf,
    openssl,
    parsed,
    rsa_key,
    weak_curve_key,
)
from tests.ca.pki import usage as usage_of

URLS = Urls(crl="http://ca.example/crl", ocsp="http://ca.example/ocsp", ca="http://ca.example/ca.der")


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def test_a_leaf_names_its_device():
    """Subject and SAN URI carry tenant and device; nothing else is named."""
    certificate = parsed(leaf(tenant="acme", device="pump-1").certificate)
    assert certificate.subject.rfc4514_string() == "CN=pump-1,O=acme"
    names = extension(certificate, x509.SubjectAlternativeName).value
    assert [name.value for name in names] == ["https://muster.internal/acme/devices/pump-1"]


def test_a_leaf_is_for_clients_only():
    """No CA, one usage, one purpose; the key identifiers lead to the issuer."""
    certificate = parsed(leaf().certificate)
    assert not extension(certificate, x509.BasicConstraints).value.ca
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    usage = extension(certificate, x509.KeyUsage)
    assert usage.critical
    assert usage.value == usage_of("digital_signature")
    above = extension(certificate, x509.AuthorityKeyIdentifier).value
    assert above.key_identifier == issuing().key_identifier
    own = extension(certificate, x509.SubjectKeyIdentifier).value
    assert own == x509.SubjectKeyIdentifier.from_public_key(KEY.public_key())


def test_a_leaf_says_where_to_ask_about_it():
    """CRL, OCSP and issuer addresses, if there are any."""
    certificate = parsed(leaf(urls=URLS).certificate)
    point = extension(certificate, x509.CRLDistributionPoints).value[0]
    assert point.full_name[0].value == URLS.crl
    access = extension(certificate, x509.AuthorityInformationAccess).value
    found = {each.access_method: each.access_location.value for each in access}
    assert found == {
        AuthorityInformationAccessOID.OCSP: URLS.ocsp,
        AuthorityInformationAccessOID.CA_ISSUERS: URLS.ca,
    }
    bare = parsed(leaf().certificate).extensions
    assert not {each.oid for each in bare} & {
        x509.CRLDistributionPoints.oid,
        x509.AuthorityInformationAccess.oid,
    }


def test_the_value_tells_what_the_certificate_says():
    """Serial, hashes and times are those of the certificate; the key belongs to it and stays hidden."""
    issued = leaf(key=make_key())
    certificate = parsed(issued.certificate)
    assert issued.serial == serial_text(certificate.serial_number)
    assert issued.fingerprint == certificate.fingerprint(SHA256())
    assert issued.spki_sha256 == spki_sha256(certificate.public_key())
    assert issued.not_before == NOW - 300_000_000
    assert issued.not_after == days(365)
    assert certificate.not_valid_after_utc == TODAY + YEAR
    assert issued.issuer_id == issuing().id
    assert issued.chain == issuing().chain_pem
    assert spki_sha256(read_key(issued.key.reveal()).public_key()) == issued.spki_sha256
    assert "PRIVATE KEY" not in repr(issued)


def test_the_pem_is_what_the_library_writes():
    """Our own PEM writer differs in no byte."""
    for device in ("a", "ab", "abc", "x" * 64):
        issued = leaf(device=device)
        assert parsed(issued.certificate).public_bytes(Encoding.PEM).decode() == issued.certificate


def test_a_serial_may_be_given():
    """A serial that is in the database already."""
    serial = new_serial()
    issued = issue_leaf(issuing(), KEY, tenant_id="t", device_id="d", ttl=YEAR, now=NOW, serial=serial)
    assert parsed(issued.certificate).serial_number == serial


@pytest.mark.parametrize("device", ["x" * 200, "ü" * 40, "a:b/c%d", "a\nb", "日本", "CN=x,O=y", " "])
def test_any_device_id_fits(tmp_path, device):
    """Long ids are shortened in the subject; the SAN URI names the device in full."""
    (tmp_path / "leaf.pem").write_text(leaf(device=device, tenant="t" * 200).certificate)
    (tmp_path / "ca.pem").write_text(issuing().bundle_pem)
    openssl("verify", "-attime", NOW // 1_000_000, "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem")


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384, KeyKind.P521, KeyKind.ED25519, KeyKind.RSA2048])
def test_leaves_have_keys_of_any_kind(tmp_path, kind):
    """openssl verifies all of them, with CRL and OCSP addresses, strictly."""
    key = rsa_key() if kind is KeyKind.RSA2048 else make_key(kind)
    file, trusted = tmp_path / "leaf.pem", tmp_path / "ca.pem"
    file.write_text(leaf(key=key, urls=URLS, names=["pump.example", "10.0.0.1"]).certificate)
    trusted.write_text(issuing().bundle_pem)
    strict = ("verify", "-attime", NOW // 1_000_000, "-x509_strict", "-CAfile", trusted, "-purpose")
    openssl(*strict, "sslclient", file)
    assert "purpose" in openssl(*strict, "sslserver", file, fails=True)


def test_a_leaf_never_outlives_its_ca():
    """However long it was asked for; nor does it begin before it."""
    ca = make_issuing(make_root(NOW), NOW, lifetime=timedelta(days=10))
    assert leaf(ca, ttl=YEAR).not_after == days(10)
    assert leaf(ca, ttl=timedelta(days=5)).not_after == days(5)
    assert leaf(ca, now=NOW - 299_000_000).not_before == NOW - 300_000_000


def test_dates_after_2049_are_written_as_rfc_5280_asks(tmp_path):
    """UTCTime ends in 2049; GeneralizedTime follows, and openssl reads it."""
    ca = make_issuing(make_root(NOW, lifetime=timedelta(days=18_000)), NOW, lifetime=timedelta(days=17_000))
    issued = leaf(ca, ttl=timedelta(days=16_000))
    assert parsed(issued.certificate).not_valid_after_utc.year == 2070
    assert "2070" in openssl("x509", "-noout", "-enddate", given=issued.certificate.encode())


@pytest.mark.parametrize(
    "ttl", [timedelta(0), timedelta(hours=-1), timedelta(hours=10**9), timedelta(microseconds=1)]
)
def test_absurd_lifetimes_are_refused(ttl):
    """Negative, none, or a hundred thousand years."""
    with pytest.raises(Malformed):
        leaf(ttl=ttl)


def test_a_ca_out_of_its_time_issues_nothing():
    """Expired or not valid yet: the part that issues is unavailable."""
    for now in (days(-1), days(3650), days(36500)):
        with pytest.raises(Unavailable):
            leaf(now=now)


def test_operators_may_add_names():
    """DNS names and addresses stand beside the identity; nonsense is refused."""
    certificate = parsed(leaf(names=["pump.example", "10.0.0.1"]).certificate)
    names = extension(certificate, x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [
        "https://muster.internal/acme/devices/pump-1",
        "pump.example",
        "10.0.0.1",
    ]
    with pytest.raises(Malformed):
        leaf(names=["no name"])


def test_threads_issue_at_the_same_time():
    """One authority serves all threads; every certificate is whole and its own."""
    found, failures = [], []

    def work(name):
        try:
            found.extend(leaf(device=f"{name}-{turn}") for turn in range(50))
        except Exception as error:  # noqa: BLE001 whatever it is, the test must show it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({each.serial for each in found}) == 200
    for each in found[::20]:
        parsed(each.certificate).verify_directly_issued_by(issuing().certificate)


def test_our_server_is_verified_by_name(tmp_path):
    """The certificate holds for the local names and the configured one; ssl takes it with its key."""
    issued = issue_server(issuing(), make_key(), ["muster.example"], now=NOW)
    certificate, bundle = tmp_path / "server.pem", tmp_path / "ca.pem"
    certificate.write_text(issued.certificate)
    bundle.write_text(issuing().bundle_pem)
    names = [
        ("-verify_hostname", "localhost"),
        ("-verify_hostname", "muster.example"),
        ("-verify_ip", "127.0.0.1"),
    ]
    strict = ("-attime", NOW // 1_000_000, "-x509_strict", "-purpose", "sslserver", "-CAfile", bundle)
    for name in [*names, ("-verify_ip", "::1")]:
        openssl("verify", *strict, *name, certificate)
    openssl("verify", *strict, "-verify_hostname", "other.example", certificate, fails=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "key.pem").write_text(issued.key.reveal())
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    assert issued.not_after == days(90)


# --- signing requests ------------------------------------------------------------------------------


def spellings(request):
    pem, plain = request.public_bytes(Encoding.PEM), request.public_bytes(Encoding.DER)
    return {
        "PEM": pem,
        "PEM text": pem.decode(),
        "PEM with blanks": b"\n  " + pem + b"\n\n",
        "DER": plain,
        "Base64 of DER": b64encode(plain),
        "Base64 of PEM": b64encode(pem).decode(),
        "Base64 in lines": b"\r\n".join(b64encode(plain)[i : i + 64] for i in range(0, 999, 64)),
    }


@pytest.mark.parametrize("spelling", spellings(csr()))
def test_requests_come_in_every_usual_spelling(spelling):
    """PEM, DER, Base64 of either: the same key."""
    assert read_csr(spellings(csr())[spelling]).spki_sha256 == spki_sha256(KEY.public_key())


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P521, KeyKind.ED25519, KeyKind.RSA2048])
def test_requests_may_be_for_any_strong_key(kind):
    """The certificate is for the requester's key; we never see its private half."""
    key = rsa_key() if kind is KeyKind.RSA2048 else make_key(kind)
    issued = leaf(key=read_csr(csr(key).public_bytes(Encoding.DER)).public_key)
    assert issued.key is None
    assert parsed(issued.certificate).public_key() == key.public_key()


def test_a_request_chooses_nothing_but_its_key():
    """Names, CA bit and purposes in it go nowhere."""
    wishes = [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier("https://muster.internal/acme/devices/other")]
        ),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    ]
    request = read_csr(csr(name="other", extensions=wishes).public_bytes(Encoding.PEM))
    certificate = parsed(leaf(key=request.public_key).certificate)
    assert certificate.subject.rfc4514_string() == "CN=pump-1,O=acme"
    assert not extension(certificate, x509.BasicConstraints).value.ca
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = extension(certificate, x509.SubjectAlternativeName).value
    assert [name.value for name in names] == ["https://muster.internal/acme/devices/pump-1"]


def test_openssl_requests_are_read(tmp_path):
    """What devices send in the field."""
    made = ("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(*made, "-keyout", tmp_path / "key.pem", "-out", tmp_path / "csr.pem", "-subj", "/CN=x")
    key = read_key((tmp_path / "key.pem").read_text())
    assert read_csr((tmp_path / "csr.pem").read_bytes()).spki_sha256 == spki_sha256(key.public_key())


def swapped_key():
    """A request whose key was exchanged after signing: no proof of possession."""
    mine, other = csr(KEY), make_key()
    plain = mine.public_bytes(Encoding.DER)
    theirs = csr(other).tbs_certrequest_bytes
    return plain.replace(mine.tbs_certrequest_bytes, theirs)


BAD_REQUESTS = {
    "empty": (b"", Malformed),
    "text": (b"hello", Malformed),
    "too large": (b"A" * (MAX_CSR + 1), Malformed),
    "not Base64": ("é" * 20, Malformed),
    "truncated": (csr().public_bytes(Encoding.DER)[:-20], Malformed),
    "certificate instead": (leaf().certificate, Malformed),
    "key exchanged": (swapped_key(), Malformed),
    "RSA 1024": (csr(rsa.generate_private_key(65537, 1024)).public_bytes(Encoding.PEM), WeakKey),
    "exponent 3": (csr(rsa.generate_private_key(3, 2048)).public_bytes(Encoding.PEM), WeakKey),
    "P-192": (csr(weak_curve_key()).public_bytes(Encoding.PEM), WeakKey),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_requests_are_refused(name):
    """Unreadable, unproven or weak: nothing is issued."""
    data, error = BAD_REQUESTS[name]
    with pytest.raises(error):
        read_csr(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_request_is_refused_or_the_same(place, octet):
    """One wrong byte anywhere is never a traceback and never another key."""
    plain = bytearray(csr().public_bytes(Encoding.DER))
    place %= len(plain)
    plain[place] = octet
    try:
        assert read_csr(bytes(plain)).spki_sha256 == spki_sha256(KEY.public_key())
    except Malformed:
        return


@given(st.binary(max_size=100))
def test_garbage_is_no_request(data):
    """Random bytes, also behind a DER or PEM beginning."""
    for start in (b"", b"0\x82", b"-----BEGIN CERTIFICATE REQUEST-----\n"):
        with pytest.raises(Malformed):
            read_csr(start + data + os.urandom(2))
