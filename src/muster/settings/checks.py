"""What two settings say of each other, and the few values that nobody may use."""

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final
from urllib.parse import urlsplit

from muster.settings.model import PUBLISHED_KEYS, PUBLISHED_PASSWORDS, Settings
from muster.settings.values import Address, write_duration

LISTENERS: Final = ("http", "https", "mqtt", "mqtts", "mqtt_ws", "adapter_mqtt", "adapter_mqtts")
AES_KEYS: Final = (16, 24, 32)

_NATS_SCHEMES: Final = ("nats", "tls")

Complaint = tuple[str, str]
"""The setting that is wrong, and why."""


def check(settings: Settings) -> Iterator[Complaint]:
    """Give every complaint about values that are each well-formed."""
    for rule in _RULES:
        yield from rule(settings)


def _places(settings: Settings) -> Iterator[Complaint]:
    if settings.workers > 1 and not settings.database_url:
        yield (
            "workers",
            "SQLite lets one process write at a time; more workers need PostgreSQL in database_url",
        )
    if settings.upstream_ports and not settings.http:
        yield "upstream_ports", "the upstream ports are on the host of http, which is off"
    if settings.public_url and not _is_http(settings.public_url):
        yield "public_url", "expected an address such as https://muster.example.com"


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
        )
    except ValueError:
        return False


def _ports(settings: Settings) -> Iterator[Complaint]:
    named = [(name, getattr(settings, name)) for name in LISTENERS]
    for (one, here), (other, there) in combinations(named, 2):
        if here and there and _clash(here, there):
            yield other, f"{there} is taken by {one}"


def _clash(here: Address, there: Address) -> bool:
    is_everywhere = {here.host, there.host} & {"0.0.0.0", "::"}  # noqa: S104 compared with, not bound to
    return here.port == there.port != 0 and (here.host == there.host or bool(is_everywhere))


def _tls(settings: Settings) -> Iterator[Complaint]:
    if settings.tls_certificate and not settings.tls_key:
        yield "tls_certificate", "the key that belongs to it is missing: tls_key"
    if settings.tls_key and not settings.tls_certificate:
        yield "tls_key", "the certificate that belongs to it is missing: tls_certificate"


def _broker(settings: Settings) -> Iterator[Complaint]:
    urls = settings.nats_url.reveal().split(",") if settings.nats_url else []
    if any(urlsplit(url.strip()).scheme not in _NATS_SCHEMES for url in urls):
        yield "nats_url", "expected nats://host:4222, or tls://host:4222, for each node, separated by commas"
    if settings.nats_mqtt and not settings.nats_url:
        yield "nats_mqtt", "it names a port of the cluster in nats_url, which is empty"
    if settings.nats_binary and settings.nats_url:
        yield "nats_binary", "Muster runs no broker of its own when nats_url names a cluster"


def _database(settings: Settings) -> Iterator[Complaint]:
    url = settings.database_url
    if url and not re.match(r"postgres(ql)?(\+psycopg)?://", url.reveal()):
        yield "database_url", "expected postgresql://…; leave it empty for SQLite in the data folder"


def _secrets(settings: Settings) -> Iterator[Complaint]:
    key, password = settings.bootstrap_encrypt_key, settings.admin_password
    if key and key.reveal() in PUBLISHED_KEYS:
        yield "bootstrap_encrypt_key", "this is the key upstream publishes; make one: openssl rand -hex 16"
    elif key and len(key.reveal().encode()) not in AES_KEYS:
        yield "bootstrap_encrypt_key", "expected 16, 24 or 32 bytes"
    if password and password.reveal().lower() in PUBLISHED_PASSWORDS:
        yield "admin_password", "this password is published with upstream's examples; everybody knows it"


def _passwords(settings: Settings) -> Iterator[Complaint]:
    try:
        pattern = settings.password_pattern
    except re.error as error:
        yield "password_regex", f"this is no regular expression: {error}"
        return
    if settings.admin_password and not pattern.fullmatch(settings.admin_password.reveal()):
        yield "admin_password", f"it does not match password_regex, {settings.password_regex}"


def _ids(settings: Settings) -> Iterator[Complaint]:
    for name in ("hono_tenant_ids", "hono_device_ids", "hono_auth_ids"):
        try:
            settings.id_pattern(name)
        except re.error as error:
            yield name, f"this is no regular expression: {error}"


def _lifetimes(settings: Settings) -> Iterator[Complaint]:
    for name in (
        "access_token_lifetime",
        "refresh_token_lifetime",
        "legacy_token_lifetime",
        "throttle_window",
    ):
        if getattr(settings, name).total_seconds() < 1:
            yield name, "expected at least 1s"
    if settings.refresh_token_lifetime < settings.access_token_lifetime:
        access = write_duration(settings.access_token_lifetime)
        yield "refresh_token_lifetime", f"it ends before the access token ({access})"


def _limits(settings: Settings) -> Iterator[Complaint]:
    for name in ("max_metadata_bytes", "max_content_bytes"):
        if getattr(settings, name) > settings.max_body_bytes:
            yield name, f"no request is larger than max_body_bytes ({settings.max_body_bytes})"


def _mail(settings: Settings) -> Iterator[Complaint]:
    url = settings.mail_url.reveal() if settings.mail_url else ""
    if url and (not re.match(r"smtps?://", url) or "," in url or not _has_good_port(url)):
        yield "mail_url", "expected one address such as smtp://user:password@mail.example.com:587"


def _has_good_port(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        return False


def _vault(settings: Settings) -> Iterator[Complaint]:
    if settings.vault_addr and not _is_http(settings.vault_addr):
        yield "vault_addr", "expected an address such as https://vault.example.com:8200"
    for name in ("vault_token", "vault_role"):
        if settings.vault_addr and not getattr(settings, name):
            yield name, "Vault needs it: vault_addr is set"


_RULES: Final[tuple[Callable[[Settings], Iterator[Complaint]], ...]] = (
    _places,
    _ports,
    _tls,
    _broker,
    _database,
    _secrets,
    _passwords,
    _ids,
    _lifetimes,
    _limits,
    _mail,
    _vault,
)
