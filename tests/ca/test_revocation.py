"""A revoked certificate is on the list and in the answers, and openssl believes both."""

import hashlib
import time
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from muster.ca.authority import make_issuing, make_root, new_serial, serial_text
from muster.ca.keys import KeyKind
from muster.ca.leaf import Urls
from muster.ca.ocsp import MAX_REQUEST, answer, read_question, refuse
from muster.ca.revocation import RevocationReason, Revoked, build_crl, crl_entry
from muster.core.errors import Malformed, NotFound
from muster.core.model import Instant
from tests.ca.pki import NOW, TODAY, YEAR, Foreign, crl_pem, days, issuing, leaf, openssl, parsed, root

REASONS = list(RevocationReason)
PRESENT = Instant(int(time.time()) * 1_000_000)


def crl(*revoked, ca=None, **options):
    options = {"number": 1, "now": NOW, **options}
    return build_crl(ca or issuing(), map(crl_entry, revoked), **options)


# --- lists -----------------------------------------------------------------------------------------


def test_a_list_holds_its_entries():
    """Serial, time and reason come back; unspecified is written by leaving it out."""
    revoked = [Revoked(serial_text(new_serial()), days(-n), reason) for n, reason in enumerate(REASONS)]
    listed = x509.load_der_x509_crl(crl(*revoked))
    assert listed.is_signature_valid(issuing().key.public_key())
    assert [serial_text(entry.serial_number) for entry in listed] == [each.serial for each in revoked]
    for entry, each in zip(listed, revoked, strict=True):
        assert entry.revocation_date_utc == TODAY + timedelta(microseconds=each.at - NOW)
        found = [extension.value.reason.name for extension in entry.extensions]
        assert found == ([] if each.reason is RevocationReason.UNSPECIFIED else [each.reason.name.lower()])


def test_a_list_says_whose_and_until_when():
    """Issuer, number, authority key and times."""
    listed = x509.load_der_x509_crl(crl(number=42, lifetime=timedelta(days=2)))
    assert listed.issuer == issuing().certificate.subject
    assert (listed.last_update_utc, listed.next_update_utc) == (TODAY, TODAY + timedelta(days=2))
    assert listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 42
    key = listed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert key.key_identifier == issuing().key_identifier


def test_an_empty_list_has_no_entries_field():
    """RFC 5280, 5.1.2.6: absent when nothing is revoked."""
    listed = x509.load_der_x509_crl(crl())
    assert len(listed) == 0
    assert listed.is_signature_valid(issuing().key.public_key())


def test_a_partition_names_its_address():
    """Critical, as RFC 5280, 5.2.5 asks."""
    listed = x509.load_der_x509_crl(crl(url="http://ca.example/crl/7"))
    point = listed.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert (point.critical, point.value.full_name[0].value) == (True, "http://ca.example/crl/7")


@given(st.integers(1, 2**159 - 1), st.integers(0, 4_000_000_000), st.sampled_from(REASONS))
def test_entries_are_what_the_library_writes(serial, second, reason):
    """Any serial, date (also after 2049) and reason: byte for byte the library's entry."""
    entry = crl_entry(Revoked(serial_text(serial), Instant(second * 1_000_000), reason))
    listed = next(iter(x509.load_der_x509_crl(build_crl(issuing(), [entry], number=1, now=NOW))))
    builder = x509.RevokedCertificateBuilder().serial_number(serial)
    builder = builder.revocation_date(listed.revocation_date_utc)
    if reason is not RevocationReason.UNSPECIFIED:
        flag = next(iter(listed.extensions)).value.reason
        builder = builder.add_extension(x509.CRLReason(flag), critical=False)
    theirs = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing().certificate.subject)
        .last_update(TODAY)
        .next_update(TODAY + timedelta(days=7))
        .add_revoked_certificate(builder.build())
        .sign(issuing().key, SHA256())
    )
    assert (listed.serial_number, int(listed.revocation_date_utc.timestamp())) == (serial, second)
    assert entry in theirs.tbs_certlist_bytes


@pytest.mark.parametrize("serial", ["", "x", "-1", "é"])
def test_an_entry_needs_a_serial(serial):
    """Nonsense is refused before it spoils a list."""
    with pytest.raises(Malformed):
        crl_entry(Revoked(serial, NOW))


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384, KeyKind.ED25519, KeyKind.RSA2048])
def test_openssl_believes_the_list(tmp_path, kind):
    """Its signature holds for every kind of CA; a revoked leaf is refused, another accepted."""
    ca = make_issuing(make_root(NOW), NOW, kind=kind)
    good, bad = leaf(ca), leaf(ca)
    trusted, listed = tmp_path / "ca.pem", tmp_path / "crl.pem"
    trusted.write_text(ca.bundle_pem)
    listed.write_text(crl_pem(crl(Revoked(bad.serial, NOW, RevocationReason.KEY_COMPROMISE), ca=ca)))
    assert "verify OK" in openssl("crl", "-in", listed, "-CAfile", trusted, "-noout")
    check = ("verify", "-attime", NOW // 1_000_000, "-crl_check", "-CRLfile", listed, "-CAfile", trusted)
    openssl(*check, given=good.certificate.encode())
    assert "revoked" in openssl(*check, given=bad.certificate.encode(), fails=True)


def test_openssl_believes_a_partition(tmp_path):
    """A certificate that names the list's address is checked against it."""
    url = "http://ca.example/crl/7"
    good, bad = leaf(urls=Urls(crl=url)), leaf(urls=Urls(crl=url))
    trusted, listed = tmp_path / "ca.pem", tmp_path / "crl.pem"
    trusted.write_text(issuing().bundle_pem)
    listed.write_text(crl_pem(crl(Revoked(bad.serial, NOW), url=url)))
    check = ("verify", "-attime", NOW // 1_000_000, "-crl_check", "-CRLfile", listed, "-CAfile", trusted)
    openssl(*check, given=good.certificate.encode())
    assert "revoked" in openssl(*check, given=bad.certificate.encode(), fails=True)


def test_a_list_may_have_half_a_million_entries():
    """Encoded, signed and readable; how long it takes is measured by the benchmark."""
    serials = [serial_text(new_serial()) for _ in range(500_000)]
    entries = (
        crl_entry(Revoked(serial, Instant(NOW - place * 7_000_000), REASONS[place % len(REASONS)]))
        for place, serial in enumerate(serials)
    )
    made = build_crl(issuing(), entries, number=1, now=NOW)
    listed = x509.load_der_x509_crl(made)
    assert len(listed) == 500_000
    assert listed.is_signature_valid(issuing().key.public_key())
    assert listed.get_revoked_certificate_by_serial_number(int(serials[-1], 16)) is not None


# --- answers ---------------------------------------------------------------------------------------


def request(certificate, *, function=None, nonce=None, issuer=None):
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        parsed(certificate), (issuer or issuing()).certificate, function or SHA256()
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


@pytest.mark.parametrize("function", [SHA1, SHA256, SHA384, SHA512])  # SHA-1 names here, it does not sign
def test_a_question_names_ca_and_serial(function):
    """By hashes of any usual function; the right CA is found among several."""
    issued = leaf()
    question = read_question(request(issued.certificate, function=function()), [root(), issuing()])
    assert (question.ca.id, question.serial, question.nonce) == (issuing().id, issued.serial, None)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("good", ocsp.OCSPCertStatus.GOOD),
        ("unknown", ocsp.OCSPCertStatus.UNKNOWN),
        (Revoked("01", days(-3), RevocationReason.SUPERSEDED), ocsp.OCSPCertStatus.REVOKED),
        (Revoked("01", days(-3)), ocsp.OCSPCertStatus.REVOKED),
    ],
)
def test_an_answer_says_the_status(status, expected):
    """Signed by the CA that issued, for the time given, with time and reason of a revocation."""
    question = read_question(request(leaf().certificate), [issuing()])
    response = ocsp.load_der_ocsp_response(answer(question, status, NOW, lifetime=timedelta(minutes=5)))
    assert response.certificate_status is expected
    assert response.serial_number == int(question.serial, 16)
    assert (response.this_update_utc, response.next_update_utc) == (TODAY, TODAY + timedelta(minutes=5))
    assert response.responder_key_hash == issuing().key_identifier
    if expected is ocsp.OCSPCertStatus.REVOKED:
        assert response.revocation_time_utc == TODAY - timedelta(days=3)
        reason = response.revocation_reason and response.revocation_reason.name.upper()
        assert reason == (None if status.reason is RevocationReason.UNSPECIFIED else status.reason.name)


@pytest.mark.parametrize("nonce", [b"x", b"n" * 32, b"n" * 128])
def test_the_nonce_comes_back(nonce):
    """So that an old answer cannot be shown again."""
    question = read_question(request(leaf().certificate, nonce=nonce), [issuing()])
    response = ocsp.load_der_ocsp_response(answer(question, "good", NOW))
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384, KeyKind.ED25519, KeyKind.RSA2048])
@pytest.mark.parametrize("status", ["good", "revoked", "unknown"])
def test_openssl_believes_the_answer(tmp_path, kind, status):
    """openssl asks, with a nonce, and understands what it is told."""
    ca = make_issuing(make_root(PRESENT), PRESENT, kind=kind)
    issued = leaf(ca, now=PRESENT)
    issuer, trusted, certificate, asked, told = (tmp_path / name for name in ("i", "ca", "c", "req", "resp"))
    issuer.write_text(ca.chain_pem)
    trusted.write_text(ca.bundle_pem)
    certificate.write_text(issued.certificate)
    openssl("ocsp", "-issuer", issuer, "-cert", certificate, "-reqout", asked)
    question = read_question(asked.read_bytes(), [ca])
    assert question.serial == issued.serial
    revoked = Revoked(issued.serial, PRESENT, RevocationReason.KEY_COMPROMISE)
    told.write_bytes(answer(question, revoked if status == "revoked" else status, PRESENT))
    # -no_nonce: do not replace the nonce of the question by a fresh one; it is compared all the same.
    files = ("-issuer", issuer, "-cert", certificate, "-reqin", asked, "-respin", told, "-CAfile", trusted)
    printed = openssl("ocsp", "-no_nonce", *files)
    assert "Response verify OK" in printed
    assert f"{certificate}: {status}" in printed
    assert "WARNING" not in printed


def two_certificates_asked(tmp_path):
    issuer, first, second, asked = (tmp_path / name for name in ("i", "a", "b", "req"))
    issuer.write_text(issuing().chain_pem)
    first.write_text(leaf().certificate)
    second.write_text(leaf().certificate)
    openssl("ocsp", "-issuer", issuer, "-cert", first, "-cert", second, "-reqout", asked)
    return asked.read_bytes()


def test_unreadable_questions_are_refused(tmp_path):
    """Garbage, truncated, oversized, an endless nonce, two certificates at a time."""
    good = request(leaf().certificate)
    bad = [b"", b"x", good[:-5], good + b"x" * MAX_REQUEST, two_certificates_asked(tmp_path)]
    bad += [request(leaf().certificate, nonce=nonce) for nonce in (b"", b"n" * 129)]
    for data in bad:
        with pytest.raises(Malformed):
            read_question(data, [issuing()])


def test_a_question_about_another_ca_is_not_ours():
    """We answer for our own CAs only."""
    stranger = Foreign("Stranger")
    asked = ocsp.OCSPRequestBuilder().add_certificate(stranger.sign(), stranger.certificate, SHA256()).build()
    for authorities in ([], [root(), issuing()]):
        with pytest.raises(NotFound):
            read_question(asked.public_bytes(Encoding.DER), authorities)


@given(st.integers(0, 300), st.integers(0, 255))
def test_a_damaged_question_is_no_traceback(place, octet):
    """One wrong byte: another serial, another CA or unreadable."""
    raw = bytearray(request(leaf().certificate, nonce=b"n" * 32))
    raw[place % len(raw)] = octet
    try:
        question = read_question(bytes(raw), [issuing()])
    except (Malformed, NotFound):
        return
    assert answer(question, "unknown", NOW)


@pytest.mark.parametrize(
    ("why", "number"), [("malformed", 1), ("internal", 2), ("later", 3), ("unauthorized", 6)]
)
def test_a_refusal_is_five_unsigned_bytes(why, number):
    """RFC 6960, 4.2.1."""
    assert refuse(why) == bytes((0x30, 3, 0x0A, 1, number))


def test_the_hashes_are_those_of_rfc_6960():
    """Name of the CA, and its public key without tag and length."""
    question = read_question(request(leaf().certificate, function=SHA1()), [issuing()])
    name = issuing().certificate.subject.public_bytes()
    assert question.name_hash == hashlib.sha1(name, usedforsecurity=False).digest()
    assert question.key_hash == issuing().key_identifier


def test_answers_outlive_no_clock():
    """A year later the same question is answered for then."""
    question = read_question(request(leaf().certificate), [issuing()])
    later = Instant(NOW + int(YEAR.total_seconds()) * 1_000_000)
    assert ocsp.load_der_ocsp_response(answer(question, "good", later)).this_update_utc == TODAY + YEAR
