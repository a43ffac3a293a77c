"""pkilint (RFC 5280, 6960) finds no error in anything we issue."""

import random
import string
from datetime import timedelta

import pytest
from pkilint import loader, pkix, report, validation
from pkilint.pkix import certificate, crl, extension, name, ocsp

from muster.ca.authority import cross_sign, make_issuing, make_root
from muster.ca.keys import KeyKind, make_key
from muster.ca.leaf import Urls, issue_server
from muster.ca.ocsp import answer, read_question
from muster.ca.revocation import RevocationReason, Revoked, build_crl, crl_entry
from tests.ca.pki import NOW, YEAR, days, der, issuing, leaf, root, rsa_key
from tests.ca.test_revocation import request

URLS = [
    Urls(),
    Urls(crl="http://ca.example/crl"),
    Urls(crl="http://ca.example/crl/7", ocsp="http://ca.example/ocsp", ca="http://ca.example/ca.der"),
]
WARNING = validation.ValidationFindingSeverity.WARNING
DECODERS = [
    pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
    pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
]


def certificate_rules():
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


def crl_rules():
    return crl.create_pkix_crl_validator_container(
        DECODERS,
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )


def ocsp_rules():
    return ocsp.create_pkix_ocsp_response_validator_container([ocsp.create_response_decoder(), *DECODERS], [])


RULES = certificate_rules()


def findings(data, rules=RULES, reader=loader.RFC5280CertificateDocumentLoader):
    """Everything pkilint says from warnings up, as text."""
    document = reader().load_der_document(data, "document")
    return report.ReportGeneratorPlaintext(rules.validate(document.root), WARNING).generate()


def any_leaf(random):
    """A certificate of random tenant, device, key, lifetime, names and addresses."""
    letters = string.ascii_letters + string.digits + "-_.:/% üß日"
    tenant, device = ("".join(random.choices(letters, k=random.randint(1, 90))) for _ in range(2))
    kinds = [KeyKind.P256] * 6 + [KeyKind.P384, KeyKind.P521, KeyKind.ED25519]
    key = rsa_key() if random.random() < 0.1 else make_key(random.choice(kinds))
    names = random.sample(["pump.example", "10.0.0.1", "::1", "plant.example"], random.randint(0, 3))
    ttl = timedelta(seconds=random.choice([1, 3600, 86400, 10**8, 3 * 10**9]))
    return leaf(key=key, tenant=tenant, device=device, ttl=ttl, urls=random.choice(URLS), names=names)


def lint_many(count):
    chosen = random.Random(count)
    serials = set()
    for _ in range(count):
        issued = any_leaf(chosen)
        assert findings(der(issued.certificate)) == ""
        serials.add(issued.serial)
    assert len(serials) == count


def test_hundreds_of_leaves_have_no_finding():
    """Any device, any kind of key: no error and no warning."""
    lint_many(200)


@pytest.mark.long
def test_ten_thousand_leaves_have_no_finding():
    """The same ten thousand times."""
    lint_many(10_000)


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384, KeyKind.ED25519, KeyKind.RSA2048])
def test_authorities_have_no_finding(kind):
    """Root, issuing CA and cross-signed root."""
    top = make_root(NOW, kind=kind)
    ca = make_issuing(top, NOW, kind=kind)
    made = [top.certificate, ca.certificate, cross_sign(root(), top, NOW)]
    assert [findings(der(each)) for each in made] == [""] * 3


def test_our_server_has_no_finding_but_localhost():
    """pkilint wants a dot in every DNS name; RFC 5280 does not, and https://localhost needs this one."""
    server = issue_server(issuing(), make_key(), ["muster.example"], now=NOW, urls=URLS[2])
    found = findings(der(server.certificate))
    assert found.count("(ERROR)") == 1
    assert 'pkix.invalid_domain_name_syntax (ERROR): Invalid domain name syntax: "localhost"' in found


def test_the_linter_does_find_errors():
    """A certificate with a wrong date encoding is found: the tests above can fail."""
    far = make_root(NOW, lifetime=timedelta(days=30_000))
    good = der(leaf(make_issuing(far, NOW, lifetime=timedelta(days=29_000)), ttl=YEAR * 70).certificate)
    assert findings(good) == ""
    early = good.replace(b"\x18\x0f20", b"\x18\x0f19", 1)
    assert early != good
    assert "ERROR" in findings(early)


def test_revocation_lists_have_no_finding():
    """Empty, with every reason, complete and partitioned."""
    reasons = enumerate(RevocationReason, 1)
    entries = [crl_entry(Revoked(f"{place:02x}", days(-1), reason)) for place, reason in reasons]
    for listed in ([], entries):
        for url in (None, "http://ca.example/crl/7"):
            data = build_crl(issuing(), listed, number=1, now=NOW, url=url)
            found = findings(data, crl_rules(), loader.RFC5280CertificateListDocumentLoader)
            assert found == ""


@pytest.mark.parametrize("status", ["good", "unknown", Revoked("01", NOW, RevocationReason.KEY_COMPROMISE)])
def test_answers_have_no_finding(status):
    """Good, unknown and revoked, with a nonce."""
    question = read_question(request(leaf().certificate, nonce=b"n" * 32), [issuing()])
    found = findings(answer(question, status, NOW), ocsp_rules(), loader.RFC6960OCSPResponseDocumentLoader)
    assert found == ""
