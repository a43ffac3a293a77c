"""A device's name in a certificate is unambiguous, and names as text have one spelling."""

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from muster.ca.dn import dn_attributes, dn_der, dn_text
from muster.ca.names import alternative_names, device_subject, device_uri, read_device_uri, short
from muster.core.errors import Malformed

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80)


@given(TEXT, TEXT)
def test_a_device_is_read_back_from_its_uri(tenant, device):
    """Whatever tenant and device are called, the URI names exactly them."""
    assert read_device_uri(device_uri(tenant, device)) == (tenant, device)


@pytest.mark.parametrize(
    "uri",
    [
        "https://muster.internal/a/devices/",
        "https://muster.internal//devices/b",
        "https://muster.internal/a/devices/b/c",
        "https://muster.internal/a/devices/%62",
        "https://muster.internal/a/devices/b ",
        "https://muster.internal/a/devices/b\n",
        "HTTPS://muster.internal/a/devices/b",
        "https://muster.internal/a/things/b",
        "https://muster.internal/a/devices/%zz",
        "https://muster.internal/%ff/devices/b",
        "",
    ],
)
def test_only_the_one_spelling_names_a_device(uri):
    """A second spelling of an identity would be a second key to one door."""
    assert read_device_uri(uri) is None


def test_names_that_fit_stand_as_they_are():
    """Tenant and device are the subject of the certificate."""
    assert device_subject("acme", "pump-1").rfc4514_string() == "CN=pump-1,O=acme"
    assert short("x" * 64) == "x" * 64


@given(st.text(max_size=300))
def test_a_name_that_does_not_fit_is_shortened(name):
    """Long, empty or unprintable names become 64 bytes at most, and no two become one."""
    fitted = short(name)
    assert 0 < len(fitted.encode("utf-8", "replace")) <= 64
    assert fitted == name or (fitted != short(name + "x") and "~" in fitted)


def test_operators_names_are_dns_or_addresses():
    """Each once, in order; international names in their ASCII form."""
    found = alternative_names(["a.example", "127.0.0.1", "::1", "a.example", "*.b.example", "bücher.example"])
    assert [str(name.value) for name in found] == [
        "a.example",
        "127.0.0.1",
        "::1",
        "*.b.example",
        "xn--bcher-kva.example",
    ]


@pytest.mark.parametrize(
    "name", ["", "a b", "-a", "a..b", "x" * 64, "a." * 130, "a/b", "a\n", "..", "ü" * 70, "*"]
)
def test_other_names_are_refused(name):
    """The message shows the name; nothing is issued."""
    with pytest.raises(Malformed):
        alternative_names([name])


SPELLINGS = [
    ("CN=a, O=b", "CN=a,O=b"),
    ('cn=a\\, b , o = "x,y";C=DE', "CN=a\\, b,O=x\\,y,C=DE"),
    ("CN=leaf,CN=root,O=x", "CN=leaf,CN=root,O=x"),
    ("OU=a+CN=mv", "CN=mv+OU=a"),
    ("EMAILADDRESS=a@b,CN=x", "1.2.840.113549.1.9.1=#1603614062,CN=x"),
    ("CN=\\ a#b=c\\ ", "CN=\\ a\\#b\\=c\\ "),
    ("2.5.4.3=#0c0161", "CN=a"),
    ("oid.2.5.4.3=a", "CN=a"),
    ("CN=M\\C3\\BCller", "CN=Müller"),
    ("ST=x,S=y", "ST=x,ST=y"),
    ("CN=", "CN="),
]


@pytest.mark.parametrize(("text", "normal"), SPELLINGS)
def test_a_distinguished_name_has_one_spelling(text, normal):
    """However it was typed; and the one spelling is a fixed point."""
    assert dn_text(dn_der(text)) == normal
    assert dn_text(dn_der(normal)) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "CN",
        "CN=a,",
        ",CN=a",
        "CN=a,,O=b",
        "CN=#zz",
        "CN=#0c05",
        'CN="',
        "CN=\\",
        "XX=a",
        "CN=\\ff",
        "CN=" + "a" * 2048,
        "CN=" + " " * 2000 + '"',
        "=a",
        "1=a",
        "CN=a<b",
    ],
)
def test_what_is_no_distinguished_name_is_refused(text):
    """A clear refusal, quickly, never a traceback."""
    with pytest.raises(Malformed):
        dn_der(text)


def test_a_certificates_name_reads_as_the_typed_one():
    """Text and DER of the same name meet."""
    name = x509.Name.from_rfc4514_string("CN=a\\, b,OU=x+O=y,C=DE,UID=u,DC=example")
    assert dn_text(name.public_bytes()) == dn_text(dn_der("CN=a\\, b, O=y + OU=x, C=DE, UID=u, DC=example"))


def test_a_typed_name_becomes_der():
    """And is the same name when the library reads it."""
    assert x509.Name.from_bytes(dn_der("CN=a,OU=b,O=c")).rfc4514_string() == "CN=a,OU=b,O=c"


@pytest.mark.parametrize("text", ["3.1=a", "1.40=a", "", "CN"])
def test_no_der_is_made_of_nonsense(text):
    """Malformed, as for the text."""
    with pytest.raises(Malformed):
        dn_der(text)


def test_object_identifiers_are_encoded_as_the_library_does():
    """Short, long and huge arcs."""
    for oid in ("2.5.4.3", "0.9.2342.19200300.100.1.1", "2.999.1", "1.3.6.1.4.1.99999999999.7"):
        theirs = x509.Name(
            [x509.NameAttribute(x509.ObjectIdentifier(oid), "a", x509.name._ASN1Type.PrintableString)]
        )
        assert dn_der(f"{oid}=a") == theirs.public_bytes()


@given(st.binary(max_size=60))
def test_garbage_is_no_name(data):
    """DER that is no name is refused; what is one can be read again."""
    try:
        text = dn_text(b"0" + bytes((len(data),)) + data)
    except Malformed:
        return
    assert text == "" or "=" in text


def test_attributes_are_found_as_hono_finds_them():
    """Of repeated ones the most significant; of a part with several the first in order."""
    name = x509.Name.from_rfc4514_string("CN=leaf,CN=root,O=x,OU=a+L=b")
    assert dn_attributes(name.public_bytes()) == {"CN": "root", "O": "x", "L": "b"}
