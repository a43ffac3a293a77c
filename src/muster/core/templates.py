"""Ids made from what a certificate says: `{{subject-cn}}` and its like, filled in once, never twice."""

import re
from collections.abc import Callable, Mapping

from muster.core.errors import Malformed
from muster.core.identity import Certificates, Shown

_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}")


def _attribute(keyword: str) -> Callable[[Shown], str | None]:
    return lambda shown: shown.subject.attributes.get(keyword)


def _alternative(kind: str) -> Callable[[Shown], str | None]:
    return lambda shown: shown.alternative_names.get(kind)


PLACEHOLDERS: Mapping[str, Callable[[Shown], str | None]] = {
    "subject-dn": lambda shown: shown.subject.text,
    "subject-cn": _attribute("CN"),
    "subject-ou": _attribute("OU"),
    "subject-o": _attribute("O"),
    "serial-number": lambda shown: shown.serial,
    "fingerprint": lambda shown: shown.fingerprint,
    "san-uri": _alternative("uri"),
    "san-dns": _alternative("dns"),
}
"""The first four are Hono's (spec B.6), the others ours."""


def check_template(template: str) -> str:
    """Give the template; Malformed if it has no placeholder, or one that nobody knows."""
    names = _PLACEHOLDER.findall(template)
    if not names:
        raise Malformed("a template needs at least one placeholder, such as {{subject-cn}}")
    unknown = [name for name in names if name not in PLACEHOLDERS]
    if unknown:
        raise Malformed(f"unknown placeholder {{{{{unknown[0]}}}}}")
    return template


def fill(template: str, shown: Shown) -> str:
    """Fill in a template; Malformed when the certificate lacks what it asks for."""

    def value(match: re.Match[str]) -> str:
        found = PLACEHOLDERS[match[1]](shown)
        if not found:
            raise Malformed(f"the certificate has no {match[1]}")
        return found

    return _PLACEHOLDER.sub(value, template)


def compared(auth_id: str, certificates: Certificates) -> tuple[str, str]:
    """Give the auth id of a certificate as it is stored and as it is compared.

    Names are in the one spelling; what is no name stays as it is.
    """
    try:
        name = certificates.name(auth_id)
    except Malformed:
        return auth_id, auth_id
    return name.text, name.key


def stands_for(template: str, shown: Shown, certificates: Certificates) -> tuple[str, str]:
    """Give the auth id a CA's template makes of a certificate, and its key; Malformed as fill."""
    return compared(fill(template, shown), certificates)
