"""Distinguished names as text, in the one spelling Hono compares: RFC 2253 as Java's X500Principal writes it.

Two spellings of one name, whether typed by a person or read from a certificate, give the same text.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from muster.ca.der import OID, SEQUENCE, SET, content_of, elements, tlv
from muster.core.errors import Malformed

_KEYWORDS = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}
_OIDS = {
    **{keyword: oid for oid, keyword in _KEYWORDS.items()},
    "S": "2.5.4.8",
    "T": "2.5.4.12",
    "SERIALNUMBER": "2.5.4.5",
    "SURNAME": "2.5.4.4",
    "GIVENNAME": "2.5.4.42",
    "INITIALS": "2.5.4.43",
    "GENERATION": "2.5.4.44",
    "DNQ": "2.5.4.46",
    "DNQUALIFIER": "2.5.4.46",
    "EMAILADDRESS": "1.2.840.113549.1.9.1",
    "EMAIL": "1.2.840.113549.1.9.1",
}
_UTF8, _PRINTABLE, _T61, _IA5, _UNIVERSAL, _BMP = 12, 19, 20, 22, 28, 30
_ENCODINGS = {
    _UTF8: "utf-8",
    _PRINTABLE: "ascii",
    _T61: "latin-1",
    _IA5: "ascii",
    _UNIVERSAL: "utf-32-be",
    _BMP: "utf-16-be",
}
_IA5_OIDS = ("1.2.840.113549.1.9.1", "0.9.2342.19200300.100.1.25")
_MAX_TEXT = 2048


class _Attribute(NamedTuple):
    oid: str
    tag: int
    content: bytes


_Name = list[list[_Attribute]]
"""The relative names in the order of the DER, most general first."""


def dn_text(der: bytes) -> str:
    """Write a DER name as text; Malformed if it is none."""
    with _malformed():
        return _write(_read_der(der))


def dn_der(text: str) -> bytes:
    """Encode a name typed as text (RFC 4514, RFC 2253, blanks around separators), as dn_text writes it.

    For a CA that is known by name and key only. Malformed if it is no name or longer than 2048 characters.
    """
    with _malformed():
        return tlv(SEQUENCE, *(tlv(SET, *sorted(map(_encode, part))) for part in _read_text(text)))


def dn_key(der: bytes) -> str:
    """Give a text that is equal for names that are (RFC 5280, 7.1), whatever case, blanks and string types.

    Malformed if it is no name.
    """
    with _malformed():
        return ",".join("+".join(sorted(map(_key, part))) for part in reversed(_read_der(der)))


def _key(attribute: _Attribute) -> str:
    value = _value(attribute)
    if value is None:
        return f"{attribute.oid}=#{tlv(attribute.tag, attribute.content).hex()}"
    return f"{attribute.oid}={_escape(' '.join(value.casefold().split()))}"


def dn_attributes(der: bytes) -> dict[str, str]:
    """Give the values by keyword (`CN`, `OU`, `O`, …); of a repeated one the most significant, as Hono does.

    Of a name part with several attributes only the first keyword in order is seen, as Hono does.
    """
    found: dict[str, str] = {}
    with _malformed():
        for part in _read_der(der):
            keyword, attribute = min((_KEYWORDS.get(a.oid, a.oid), a) for a in part)
            found.setdefault(keyword, _value(attribute) or "")
    return found


@contextmanager
def _malformed() -> Iterator[None]:
    try:
        yield
    except (ValueError, IndexError):  # a UnicodeError is a ValueError
        raise Malformed("the distinguished name cannot be read") from None


# --- reading ---------------------------------------------------------------------------------------


def _read_der(der: bytes) -> _Name:
    return [
        [_read_attribute(content) for _, content, _ in elements(part)]
        for _, part, _ in elements(content_of(der, SEQUENCE))
    ]


def _read_attribute(der: bytes) -> _Attribute:
    (_, oid, _), (tag, content, _) = elements(der)
    return _Attribute(_read_oid(oid), tag, content)


def _read_oid(content: bytes) -> str:
    numbers, number = [], 0
    for octet in content:
        number = number << 7 | octet & 0x7F
        if octet < 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _encode(attribute: _Attribute) -> bytes:
    return tlv(SEQUENCE, _write_oid(attribute.oid), tlv(attribute.tag, attribute.content))


def _write_oid(dotted: str) -> bytes:
    first, second, *others = map(int, dotted.split("."))
    if first > 2 or (first < 2 and second > 39):
        raise ValueError("no object identifier")
    return tlv(OID, *map(_base_128, (40 * first + second, *others)))


def _base_128(number: int) -> bytes:
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.insert(0, number & 0x7F | 0x80)
    return bytes(octets)


_PART = re.compile(
    r"""\s*(?:[Oo][Ii][Dd]\.)?([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)\s*=\s*+
    ("(?:[^"\\]|\\.)*"|\#(?:[0-9A-Fa-f]{2})+|(?:[^,+;"\\<>]|\\.)*?)\s*([,;+]|$)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)


def _read_text(text: str) -> _Name:
    parts: _Name = [[]]
    place, separator = 0, ","
    while separator:
        match = _PART.match(text, place)
        if match is None or len(text) > _MAX_TEXT:
            raise ValueError("no name part here")
        parts[0].append(_typed(match[1], match[2]))
        place, separator = match.end(), match[3]
        if separator in (",", ";"):
            parts.insert(0, [])
    return parts


def _typed(keyword: str, value: str) -> _Attribute:
    oid = keyword if keyword[0].isdigit() else _OIDS.get(keyword.upper())
    if oid is None:
        raise ValueError("an unknown keyword")
    if value.startswith("#"):
        ((tag, content, _),) = elements(bytes.fromhex(value[1:]))
        return _Attribute(oid, tag, content)
    plain = value[1:-1] if value.startswith('"') else value
    return _as_attribute(oid, _ESCAPE.sub(_unescape, plain))


def _unescape(match: re.Match[str]) -> str:
    return bytes.fromhex(match[1].replace("\\", "")).decode() if match[1] else match[2]


def _as_attribute(oid: str, value: str) -> _Attribute:
    tag = _IA5 if oid in _IA5_OIDS else _PRINTABLE if _IS_PRINTABLE.fullmatch(value) else _UTF8
    return _Attribute(oid, tag, value.encode(_ENCODINGS[tag]))


_IS_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")


# --- writing ---------------------------------------------------------------------------------------


def _write(name: _Name) -> str:
    return ",".join("+".join(sorted(map(_write_attribute, part))) for part in reversed(name))


def _write_attribute(attribute: _Attribute) -> str:
    keyword, value = _KEYWORDS.get(attribute.oid), _value(attribute)
    if keyword is None or value is None:
        return f"{keyword or attribute.oid}=#{tlv(attribute.tag, attribute.content).hex()}"
    return f"{keyword}={_escape(value)}"


def _value(attribute: _Attribute) -> str | None:
    encoding = _ENCODINGS.get(attribute.tag)
    return attribute.content.decode(encoding) if encoding else None


_SPECIAL = re.compile(r'([,=+<>#;"\\])')


def _escape(value: str) -> str:
    escaped = _SPECIAL.sub(r"\\\1", value).replace("\0", "\\00")
    inner = escaped.lstrip(" ")
    blanks = len(escaped) - len(inner)
    core = inner.rstrip(" ")
    return "\\ " * blanks + core + "\\ " * (len(inner) - len(core))
