"""Who may connect with which certificate: the accepted, and the long list of the refused."""

from datetime import timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from muster.ca.authority import bundle, make_issuing, make_root, serial_text
from muster.ca.dn import dn_der, dn_key
from muster.ca.keys import KeyKind, key_pem, make_key, spki_der, spki_sha256
from muster.ca.verify import Anchor, ChainRefused, Reason, anchor, issuer_keys, own_anchor, verify_chain
from muster.core.errors import Malformed
from tests.ca.pki import (
    CLIENT,
    KEY,
    NOW,
    SERVER,
    YEAR,
    Foreign,
    csr,
    days,
    der,
    issuing,
    leaf,
    openssl,
    parsed,
    root,
    rsa_key,
    subject,
    usage,
    weak_curve_key,
)

OWN = own_anchor(issuing())
CA = Foreign("Tenant CA", key_usage=usage("key_cert_sign"))
TENANT = anchor(CA.der, tag="tenant")
MIDDLE = Foreign("Tenant Plant 7", above=CA)
DAY = timedelta(days=1)


def by_key(ca, **options):
    """Trust a foreign CA by name and key only, as Hono's tenants may."""
    return Anchor(
        tag="key",
        subject_der=ca.name.public_bytes(),
        spki_der=spki_der(ca.key.public_key()),
        **options,
    )


def verify(certificate, *chain, anchors=(TENANT,), now=NOW):
    return verify_chain(der(certificate), [der(each) for each in chain], anchors, now)


# --- accepted --------------------------------------------------------------------------------------


def test_our_own_leaf_names_its_device():
    """Tenant and device come from the SAN URI; the rest describes the certificate."""
    issued = leaf(tenant="acme", device="pump-1")
    found = verify(issued.certificate, anchors=[OWN])
    assert found.device == ("acme", "pump-1")
    assert (found.common_name, found.subject_dn) == ("pump-1", "CN=pump-1,O=acme")
    assert (found.serial, found.fingerprint, found.spki_sha256) == (
        issued.serial,
        issued.fingerprint,
        issued.spki_sha256,
    )
    assert (found.not_before, found.not_after) == (issued.not_before, issued.not_after)
    assert found.uris == ("https://muster.internal/acme/devices/pump-1",)
    assert found.anchor == OWN
    assert found.issuer_der == issuing().certificate.subject.public_bytes()


def test_our_root_alone_accepts_the_chain():
    """With the issuing CA sent along, the root suffices."""
    issued = leaf()
    found = verify(issued.certificate, issued.chain, anchors=[own_anchor(root())])
    assert found.device == ("acme", "pump-1")


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P521, KeyKind.ED25519, KeyKind.RSA2048])
def test_every_kind_of_key_is_accepted(kind):
    """For CA and device, trusted by certificate and by key."""
    key = rsa_key() if kind is KeyKind.RSA2048 else make_key(kind)
    ca = Foreign("CA", key)
    certificate = ca.sign(key.public_key())
    for trusted in (anchor(ca.der, tag="x"), by_key(ca)):
        assert verify(certificate, anchors=[trusted]).anchor == trusted


def test_intermediates_lead_to_the_tenants_ca():
    """Sent in any order, with the root or without, by certificate and by key."""
    lower = Foreign("Line 3", above=MIDDLE)
    certificate = lower.sign(name=subject("d", o="Tenant", ou="x"))
    for trusted in (TENANT, by_key(CA)):
        for chain in ([lower, MIDDLE], [MIDDLE, lower], [lower, MIDDLE, CA]):
            sent = [each.certificate for each in chain]
            assert verify(certificate, *sent, anchors=[trusted]).subject_dn == "CN=d,OU=x,O=Tenant"


def test_an_intermediate_itself_may_be_trusted():
    """A tenant that trusts only its plant's CA accepts that plant's devices."""
    for trusted in (anchor(MIDDLE.der, tag="plant"), by_key(MIDDLE)):
        assert verify(MIDDLE.sign(), anchors=[trusted]).anchor == trusted
        with pytest.raises(ChainRefused):
            verify(CA.sign(), anchors=[trusted])


def test_a_foreign_ca_never_names_our_devices():
    """Its SAN URI may say what it likes."""
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier("https://muster.internal/acme/devices/pump-1")]
    )
    found = verify(CA.sign(extensions=[(names, False)]))
    assert found.device is None
    assert found.uris == ("https://muster.internal/acme/devices/pump-1",)


def test_no_extended_usage_means_any():
    """Certificates of old tools carry none; anyExtendedKeyUsage is as good."""
    for purposes in (None, (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,), (*SERVER, *CLIENT)):
        assert verify(CA.sign(purposes=purposes)).anchor == TENANT
    assert verify(CA.sign(ca=None)).anchor == TENANT


def test_a_certificate_holds_from_its_first_to_its_last_second():
    """Neither earlier nor later."""
    certificate = CA.sign(start=-DAY, end=DAY)
    for now in (days(-1), days(1)):
        assert verify(certificate, now=now).anchor == TENANT
    for now, reason in ((days(-1) - 1_000_000, Reason.NOT_YET_VALID), (days(1) + 1_000_000, Reason.EXPIRED)):
        with pytest.raises(ChainRefused) as refusal:
            verify(certificate, now=now)
        assert refusal.value.reason is reason


def test_names_are_compared_as_rfc_5280_asks():
    """Another case or string type of the CA's name is the same name."""
    other = Anchor(
        tag="typed",
        subject_der=x509.Name(
            [x509.NameAttribute(x509.NameOID.COMMON_NAME, "tenant ca", x509.name._ASN1Type.PrintableString)]
        ).public_bytes(),
        spki_der=spki_der(CA.key.public_key()),
    )
    assert verify(CA.sign(), anchors=[other]).anchor == other


def test_several_cas_of_one_name_are_told_by_their_keys():
    """Each device is accepted by the CA that signed it, whatever the order."""
    first, second = Foreign("Same"), Foreign("Same")
    for make in (partial(anchor), None):
        trusted = [
            anchor(each.der, tag=tag) if make else by_key(each) for tag, each in (("1", first), ("2", second))
        ]
        for order in (trusted, trusted[::-1]):
            assert verify(first.sign(), anchors=order).anchor == trusted[0]
            assert verify(second.sign(), anchors=order).anchor == trusted[1]


def test_key_identifiers_of_other_tools_are_accepted():
    """easy-rsa names its CA by key, issuer and serial; a CA trusted by key only has none of them."""
    serial = CA.certificate.serial_number
    named = x509.AuthorityKeyIdentifier(b"k" * 20, [x509.DirectoryName(CA.name)], serial)
    certificate = CA.sign(extensions=[(named, False)])
    assert verify(certificate, anchors=[by_key(CA)]).anchor.tag == "key"


def test_rollover_refuses_nobody():
    """Old and new issuing CA are both trusted; devices of both connect."""
    new = make_issuing(make_root(days(1)), days(1))
    trusted = [own_anchor(new), OWN]
    for certificate in (leaf().certificate, leaf(new, now=days(2)).certificate):
        assert verify(certificate, anchors=trusted, now=days(3)).device == ("acme", "pump-1")


def test_the_issuers_of_an_unverified_chain_are_named():
    """To look up which tenants may be meant."""
    found = issuer_keys(der(MIDDLE.sign()), [MIDDLE.der])
    assert found == tuple(dn_key(dn_der(name)) for name in ("CN=Tenant Plant 7", "CN=Tenant CA"))


# --- refused ---------------------------------------------------------------------------------------

UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
NO_EXAMPLE = x509.NameConstraints(None, [x509.DNSName("example")])
BAD_NAME = x509.SubjectAlternativeName([x509.DNSName("pump.example")])


def below(ca, *, chain=(), **options):
    return (ca.sign(**options), *(each.certificate for each in (*chain, ca)))


def long_chain():
    found = [CA]
    for number in range(6):
        found.append(Foreign(f"Level {number}", above=found[-1]))
    return (found[-1].sign(), *(each.certificate for each in found[:0:-1]))


def self_signed():
    return Foreign("device", KEY, ca=False, purposes=CLIENT).certificate


def changed_signature():
    raw = bytearray(der(CA.sign()))
    raw[-1] ^= 1
    return x509.load_der_x509_certificate(bytes(raw))


REFUSED = {
    "expired": (lambda: [CA.sign(end=-DAY)], Reason.EXPIRED),
    "not valid yet": (lambda: [CA.sign(start=DAY)], Reason.NOT_YET_VALID),
    "intermediate expired": (lambda: below(Foreign("old", above=CA, end=-DAY)), Reason.EXPIRED),
    "intermediate not valid yet": (lambda: below(Foreign("new", above=CA, start=DAY)), Reason.NOT_YET_VALID),
    "self-signed": (lambda: [self_signed()], Reason.SELF_SIGNED),
    "wrong CA": (lambda: [Foreign("Stranger").sign()], Reason.UNKNOWN_CA),
    "wrong CA, chain sent": (lambda: below(Foreign("Stranger")), Reason.UNKNOWN_CA),
    "another CA of the same name": (lambda: [Foreign("Tenant CA").sign()], Reason.BAD_SIGNATURE),
    "another CA of the same name, sent along": (lambda: below(Foreign("Tenant CA")), Reason.BAD_SIGNATURE),
    "missing intermediate": (lambda: [MIDDLE.sign()], Reason.UNKNOWN_CA),
    "changed signature": (lambda: [changed_signature()], Reason.BAD_SIGNATURE),
    "signed by another key": (lambda: [CA.sign(by=make_key())], Reason.BAD_SIGNATURE),
    "for servers": (lambda: [CA.sign(purposes=SERVER)], Reason.WRONG_USAGE),
    "key may not sign": (lambda: [CA.sign(key_usage=usage("key_encipherment"))], Reason.WRONG_USAGE),
    "the CA itself": (lambda: [CA.certificate], Reason.WRONG_USAGE),
    "an intermediate itself": (lambda: [MIDDLE.certificate], Reason.WRONG_USAGE),
    "issued by a device": (
        lambda: below(Foreign("gadget", above=CA, ca=False, purposes=CLIENT)),
        Reason.NOT_A_CA,
    ),
    "issued by one without basicConstraints": (
        lambda: below(Foreign("no constraints", above=CA, ca=None)),
        Reason.NOT_A_CA,
    ),
    "the same with keyCertSign": (
        lambda: below(Foreign("no constraints", above=CA, ca=None, key_usage=usage("key_cert_sign"))),
        Reason.NOT_A_CA,
    ),
    "issuer may not sign": (
        lambda: below(Foreign("no usage", above=CA, key_usage=usage("digital_signature"))),
        Reason.NOT_A_CA,
    ),
    "issuer is for servers": (lambda: below(Foreign("web", above=CA, purposes=SERVER)), Reason.RESTRICTED),
    "path length exceeded": (
        lambda: below(Foreign("below", above=(top := Foreign("top", above=CA, depth=0))), chain=[top]),
        Reason.TOO_LONG,
    ),
    "chain too long": (long_chain, Reason.TOO_LONG),
    "unknown critical extension": (lambda: [CA.sign(extensions=[(UNKNOWN, True)])], Reason.RESTRICTED),
    "unknown critical extension above": (
        lambda: below(Foreign("odd", above=CA, extensions=[(UNKNOWN, True)])),
        Reason.RESTRICTED,
    ),
    "name not permitted": (
        lambda: below(
            Foreign("limited", above=CA, extensions=[(NO_EXAMPLE, True)]), extensions=[(BAD_NAME, False)]
        ),
        Reason.RESTRICTED,
    ),
    "weak key": (
        lambda: [CA.sign(rsa.generate_private_key(65537, 1024).public_key())],
        Reason.WEAK,
    ),
    "weak curve": (lambda: [CA.sign(weak_curve_key().public_key())], Reason.WEAK),
}


@pytest.mark.parametrize("is_by_key", [False, True], ids=["by certificate", "by key"])
@pytest.mark.parametrize("name", REFUSED)
def test_every_flaw_is_refused_with_its_reason(name, is_by_key):
    """Whether the CA is trusted by certificate or by name and key."""
    make, reason = REFUSED[name]
    with pytest.raises(ChainRefused) as refusal:
        verify(*make(), anchors=[by_key(CA) if is_by_key else TENANT])
    assert refusal.value.reason is reason


@pytest.mark.parametrize("is_above", [False, True], ids=["leaf", "intermediate"])
def test_sha_1_is_refused(tmp_path, is_above):
    """openssl still signs with it; a collision of it is for sale."""
    files = [tmp_path / name for name in ("ca.pem", "key.pem", "csr.pem", "extensions", "made.pem")]
    ca, key, request, extensions, made = files
    ca.write_text(bundle([CA.certificate]))
    key.write_text(key_pem(CA.key))
    request.write_bytes(csr(name="middle").public_bytes(Encoding.PEM))
    extensions.write_text("basicConstraints=critical,CA:TRUE" if is_above else "extendedKeyUsage=clientAuth")
    sign = (
        "x509",
        "-req",
        "-in",
        request,
        "-CA",
        ca,
        "-CAkey",
        key,
        "-set_serial",
        7,
        "-extfile",
        extensions,
    )
    for function, refused in (("-sha256", False), ("-sha1", True)):
        openssl(*sign, "-days", 3, function, "-out", made)
        signed = parsed(made.read_text())
        now = int(signed.not_valid_before_utc.timestamp() + 60) * 1_000_000
        middle = Foreign("middle", KEY)
        chain = (middle.sign(start=-3 * YEAR), signed) if is_above else (signed,)
        if refused:
            with pytest.raises(ChainRefused) as refusal:
                verify(*chain, now=now)
            assert refusal.value.reason is Reason.WEAK
        else:
            assert verify(*chain, now=now).anchor == TENANT


def test_the_shape_of_the_refused_is_accepted():
    """The table above fails for its flaws, not for the way it is built."""
    assert verify(*below(Foreign("fine", above=CA))).anchor == TENANT
    assert verify(CA.sign(function=SHA512(), extensions=[(BAD_NAME, False), (UNKNOWN, False)])).dns_names == (
        "pump.example",
    )


def test_another_tenants_ca_of_the_same_name_is_refused():
    """One subject DN, two tenants, two keys: each accepts only its own, by certificate and by key."""
    mine, theirs = Foreign("ACME CA"), Foreign("ACME CA")
    for trusted in (anchor(mine.der, tag="mine"), by_key(mine)):
        assert verify(mine.sign(), anchors=[trusted])
        for chain in ([], [theirs.certificate], [mine.certificate]):
            with pytest.raises(ChainRefused):
                verify(theirs.sign(), *chain, anchors=[trusted])


def test_a_trusted_ca_ends_with_its_validity():
    """Also one that is trusted by key for a given time."""
    ca = Foreign("Short", start=-DAY, end=DAY)
    limited = by_key(ca, not_before=days(-1), not_after=days(1))
    for trusted in (anchor(ca.der, tag="x"), limited):
        assert verify(ca.sign(), anchors=[trusted])
        for now, reason in ((days(2), Reason.EXPIRED), (days(-2), Reason.NOT_YET_VALID)):
            with pytest.raises(ChainRefused) as refusal:
                verify(ca.sign(), anchors=[trusted], now=now)
            assert refusal.value.reason is reason


def test_a_device_certificate_trusts_nobody():
    """With no anchor nothing is accepted; a leaf cannot be made an anchor."""
    with pytest.raises(ChainRefused):
        verify(CA.sign(), anchors=[])
    for data in (der(leaf().certificate), b"", b"0\x03\x02\x01\x01"):
        with pytest.raises(Malformed):
            anchor(data, tag="x")


def test_a_trusted_key_that_is_weak_or_broken_accepts_nothing():
    """A tenant's record with nonsense in it refuses, it does not fail."""
    weak = Foreign("Weak", rsa.generate_private_key(65537, 1024))
    broken = Anchor(tag="x", subject_der=CA.name.public_bytes(), spki_der=b"nonsense")
    for certificate, trusted in ((weak.sign(), by_key(weak)), (CA.sign(), broken)):
        with pytest.raises(ChainRefused) as refusal:
            verify(certificate, anchors=[trusted])
        assert refusal.value.reason is Reason.WEAK


def test_a_broken_trusted_key_does_not_hide_a_good_one():
    """The other CA of that name still accepts its devices."""
    broken = Anchor(tag="x", subject_der=CA.name.public_bytes(), spki_der=b"nonsense")
    assert verify(CA.sign(), anchors=[broken, TENANT]).anchor == TENANT


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_certificate_is_refused(place, octet):
    """One wrong byte anywhere is a refusal: never a traceback, never another identity."""
    good = der(leaf().certificate)
    raw = bytearray(good)
    raw[place % len(raw)] = octet
    if bytes(raw) == good:
        return
    with pytest.raises(ChainRefused):
        verify_chain(bytes(raw), [], [OWN], NOW)


@given(st.binary(max_size=200))
def test_garbage_is_refused(data):
    """As leaf and as intermediate."""
    for first, others in ((data, []), (der(CA.sign()), [data])):
        with pytest.raises(ChainRefused) as refusal:
            verify_chain(first, others, [TENANT], NOW)
        assert refusal.value.reason is Reason.MALFORMED


def test_an_oversized_certificate_is_refused():
    """Before anything is parsed."""
    with pytest.raises(ChainRefused) as refusal:
        verify_chain(b"0" * 20_000, [], [TENANT], NOW)
    assert refusal.value.reason is Reason.MALFORMED


def test_serials_and_keys_are_told_as_records_spell_them():
    """The look-ups after verification use these two."""
    found = verify(CA.sign(serial=0xABC, end=YEAR))
    assert (found.serial, found.serial) == (serial_text(0xABC), "0abc")
    assert found.spki_sha256 == spki_sha256(KEY.public_key())
