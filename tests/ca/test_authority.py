"""Our own CAs: made, kept, taken over, rolled over; openssl agrees."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from muster.ca.authorities import Authorities
from muster.ca.authority import (
    Authority,
    CaRefused,
    bundle,
    cross_sign,
    import_authority,
    make_issuing,
    make_root,
    new_serial,
    serial_text,
)
from muster.ca.keys import KeyKind, WeakKey, key_pem, make_key
from muster.ca.secrets import Keyring
from muster.core.errors import Malformed, NotFound, Unavailable
from tests.ca.pki import CLIENT, NOW, SERVER, TODAY, YEAR, Foreign, days, issuing, leaf, openssl, root, usage

SIGNS = usage("key_cert_sign", "crl_sign")


def test_a_fresh_authority_is_what_rfc_5280_asks_of_a_ca():
    """Root and issuing CA carry the extensions that path validation needs."""
    for ca, depth in ((root(), None), (issuing(), 0)):
        extensions = ca.certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (
            True,
            True,
            depth,
        )
        allowed = extensions.get_extension_for_class(x509.KeyUsage)
        assert (allowed.critical, allowed.value.key_cert_sign, allowed.value.crl_sign) == (True, True, True)
    assert (root().is_root, issuing().is_root) == (True, False)
    issuing().certificate.verify_directly_issued_by(root().certificate)
    assert issuing().not_after <= root().not_after


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384, KeyKind.ED25519, KeyKind.RSA2048])
def test_every_kind_of_ca_issues_what_openssl_verifies(tmp_path, kind):
    """Root, issuing CA and leaf of each kind form a chain."""
    ca = make_issuing(make_root(NOW, kind=kind), NOW, kind=kind)
    (tmp_path / "ca.pem").write_text(ca.bundle_pem)
    (tmp_path / "leaf.pem").write_text(leaf(ca).certificate)
    strict = ("-attime", NOW // 1_000_000, "-x509_strict", "-purpose", "sslclient")
    openssl("verify", *strict, "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem")


def test_an_authority_survives_sealing():
    """What is stored is sealed; what is opened is the same CA with its chain."""
    ring = Keyring(bytes(range(64)))
    sealed = ring.seal(issuing().to_bytes(), b"ca")
    assert b"PRIVATE KEY" not in sealed
    again = Authority.from_bytes(ring.open(sealed, b"ca"))
    assert (again.id, again.der, again.bundle_pem) == (issuing().id, issuing().der, issuing().bundle_pem)
    assert key_pem(again.key) == key_pem(issuing().key)
    assert repr(again) == f"Authority({issuing().id})"


def test_the_chain_leaves_the_root_out_and_the_bundle_starts_with_it():
    """Devices send the chain, whoever trusts us installs the bundle."""
    assert issuing().chain_pem == bundle([issuing().certificate])
    assert issuing().bundle_pem == bundle([root().certificate, issuing().certificate])
    assert root().chain_pem == ""


def test_serials_are_long_positive_and_random():
    """16 octets whose highest bit is clear; none comes twice."""
    serials = [new_serial() for _ in range(1000)]
    assert {number.bit_length() for number in serials} == {127}
    assert len(set(serials)) == 1000
    assert {len(serial_text(number)) for number in serials} == {32}
    assert (serial_text(1), serial_text(0x123)) == ("01", "0123")


def test_no_authority_outlives_the_one_above_it():
    """An issuing CA under an old root ends with it, and none is made under an expired one."""
    short = make_root(NOW, lifetime=timedelta(days=10))
    assert make_issuing(short, days(5)).not_after == short.not_after
    with pytest.raises(CaRefused):
        make_issuing(short, days(11))


def test_a_cross_signed_root_is_trusted_by_who_knows_only_the_old_one(tmp_path):
    """Rollover: what is issued below the new root verifies under both."""
    new = make_root(days(1))
    fresh = make_issuing(new, days(1))
    crossed = cross_sign(root(), new, days(1))
    (tmp_path / "leaf.pem").write_text(leaf(fresh, now=days(2)).certificate)
    (tmp_path / "chain.pem").write_text(fresh.chain_pem + bundle([crossed]))
    at = ("-attime", days(3) // 1_000_000)
    for name, anchor in (("old", root()), ("new", new)):
        (tmp_path / name).write_text(bundle([anchor.certificate]))
        openssl(
            "verify",
            *at,
            "-CAfile",
            tmp_path / name,
            "-untrusted",
            tmp_path / "chain.pem",
            tmp_path / "leaf.pem",
        )


# --- taking over -----------------------------------------------------------------------------------


def test_an_existing_ca_is_taken_over_with_its_chain(tmp_path):
    """Certificates in any order; it issues from then on."""
    top = Foreign("Company Root", key_usage=SIGNS)
    middle = Foreign("Company Devices", above=top, key_usage=SIGNS)
    for pem in ([top, middle], [middle, top]):
        ca = import_authority(bundle(each.certificate for each in pem), key_pem(middle.key), NOW)
        assert (ca.certificate, ca.above) == (middle.certificate, (top.certificate,))
    (tmp_path / "ca.pem").write_text(ca.bundle_pem)
    (tmp_path / "leaf.pem").write_text(leaf(ca).certificate)
    openssl("verify", "-attime", NOW // 1_000_000, "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem")


def test_a_ca_made_by_openssl_is_taken_over(tmp_path):
    """The usual way companies have one."""
    key, pem = tmp_path / "key.pem", tmp_path / "ca.pem"
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, "-days", "30")
    openssl(*made, "-subj", "/CN=Co", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    certificate = x509.load_pem_x509_certificate(pem.read_bytes())
    now = int(certificate.not_valid_before_utc.timestamp() + 60) * 1_000_000
    ca = import_authority(pem.read_text(), key.read_text(), now)
    (tmp_path / "leaf.pem").write_text(leaf(ca, now=now).certificate)
    openssl("verify", "-CAfile", pem, "-purpose", "sslclient", tmp_path / "leaf.pem")


def refused_imports():
    good = Foreign(key_usage=SIGNS)
    other = Foreign("Other", key_usage=SIGNS)
    weak = rsa.generate_private_key(65537, 1024)
    limited = x509.NameConstraints([x509.DNSName("example")], None)
    return {
        "no certificate": ("", good.key, Malformed),
        "garbage": ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", good.key, Malformed),
        "too large": ("x" * 300_000, good.key, Malformed),
        "another's key": (good, other.key, CaRefused),
        "two of one key": (bundle([good.certificate] * 2), good.key, CaRefused),
        "stranger in the chain": (bundle([good.certificate, other.certificate]), good.key, CaRefused),
        "expired": (Foreign(key=good.key, key_usage=SIGNS, end=timedelta(days=-1)), good.key, CaRefused),
        "not valid yet": (
            Foreign(key=good.key, key_usage=SIGNS, start=timedelta(days=1)),
            good.key,
            CaRefused,
        ),
        "no CA": (Foreign(key=good.key, key_usage=SIGNS, ca=False), good.key, CaRefused),
        "no basicConstraints": (Foreign(key=good.key, key_usage=SIGNS, ca=None), good.key, CaRefused),
        "no keyUsage": (Foreign(key=good.key), good.key, CaRefused),
        "no keyCertSign": (Foreign(key=good.key, key_usage=usage("crl_sign")), good.key, CaRefused),
        "no cRLSign": (Foreign(key=good.key, key_usage=usage("key_cert_sign")), good.key, CaRefused),
        "servers only": (Foreign(key=good.key, key_usage=SIGNS, purposes=SERVER), good.key, CaRefused),
        "name constraints": (
            Foreign(key=good.key, key_usage=SIGNS, extensions=[(limited, True)]),
            good.key,
            CaRefused,
        ),
        "damaged root": (Foreign(key=good.key, key_usage=SIGNS, by=other.key), good.key, CaRefused),
        "weak key": (Foreign(key=weak, key_usage=SIGNS), weak, WeakKey),
    }


REFUSED = refused_imports()


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_ca_is_not_taken_over(name):
    """Each with its own reason, none half taken."""
    given, key, error = REFUSED[name]
    pem = given if isinstance(given, str) else bundle([given.certificate])
    with pytest.raises(error):
        import_authority(pem, key_pem(key), NOW)


def test_a_ca_for_clients_may_be_limited_to_them():
    """extendedKeyUsage clientAuth on a CA is no hindrance."""
    ca = Foreign(key_usage=SIGNS, purposes=CLIENT)
    assert import_authority(bundle([ca.certificate]), key_pem(ca.key), NOW).certificate == ca.certificate


def test_a_ca_without_key_identifier_gets_one():
    """Its leaves still name their authority's key."""
    ca = Foreign(key=make_key(KeyKind.ED25519), key_usage=SIGNS)
    taken = import_authority(bundle([ca.certificate]), key_pem(ca.key), NOW)
    assert isinstance(taken.key, ed25519.Ed25519PrivateKey)
    assert taken.key_identifier == x509.SubjectKeyIdentifier.from_public_key(ca.key.public_key()).digest
    assert taken.not_after == TODAY + YEAR


# --- side by side ----------------------------------------------------------------------------------


def test_the_newest_valid_authority_signs():
    """A rollover prepared for tomorrow begins tomorrow; an expired CA signs no more."""
    old = make_issuing(root(), NOW, lifetime=timedelta(days=10))
    new = make_issuing(make_root(days(1)), days(1), lifetime=timedelta(days=10))
    both = Authorities([new, old])
    assert [both.current(days(n)) for n in (0, 2, 10)] == [old, new, new]
    assert (both.find(old.id), both.find(new.id), len(both), list(both)) == (old, new, 2, [new, old])
    assert [each.tag for each in both.anchors] == [new.id, old.id]
    with pytest.raises(Unavailable):
        both.current(days(12))
    with pytest.raises(NotFound):
        both.find("00")


def test_the_bundle_verifies_what_any_of_them_issued(tmp_path):
    """Each CA once, roots and cross-signed roots included."""
    top = make_root(days(1))
    new, crossed = make_issuing(top, days(1)), cross_sign(root(), top, days(1))
    both = Authorities([new, issuing()], [crossed])
    assert both.bundle_pem.count("BEGIN CERTIFICATE") == 5
    (tmp_path / "ca.pem").write_text(both.bundle_pem)
    for ca in both:
        (tmp_path / "leaf.pem").write_text(leaf(ca, now=days(2)).certificate)
        openssl(
            "verify", "-attime", days(3) // 1_000_000, "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem"
        )
