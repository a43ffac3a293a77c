"""Muster's settings: one frozen structure. A field's sentence here is its documentation everywhere."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from muster.core.model import Secret
from muster.settings.values import Address, Addresses, LogLevel, SecretUrl, Size

EMAIL: Final = r"^[^@\s]+@[^@\s]+$"
PREFIX: Final = "MUSTER_"

PUBLISHED_KEYS: Final = frozenset({"12345678910111213141516171819202", "v7aT0HGxJxt2gULzr3RHwf4WIf6DusPp"})
"""Bootstrap keys that upstream ships in its code and in its compose file (spec A.9): everybody knows them."""
PUBLISHED_PASSWORDS: Final = frozenset({"12345678", "password", "admin"})
"""12345678 is the administrator's password in upstream's compose file (spec 0)."""


def about(sentence: str, *, opens: str = "", upstream: str = "", **limits: Any) -> msgspec.Meta:
    """Describe a field: what it decides; the section it opens; upstream's variable for it, without prefix."""
    return msgspec.Meta(description=sentence, extra={"opens": opens, "upstream": upstream}, **limits)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator can decide. Every default works, and none of them is a shared secret."""

    data_dir: Annotated[
        Path,
        about(
            "The folder of everything Muster keeps: database, keys, broker files. Made if absent.",
            opens="Place",
        ),
    ] = Path("muster-data")
    log_level: Annotated[
        LogLevel, about("The least important log line that is written: debug, info, warning or error.")
    ] = LogLevel.INFO
    workers: Annotated[
        int, about("Processes that answer HTTP. More than one needs PostgreSQL.", ge=1, le=64)
    ] = 1

    http: Annotated[Address | None, about("Where the HTTP API listens; empty: nowhere.", opens="Doors")] = (
        Address("127.0.0.1", 8080)
    )
    https: Annotated[Address | None, about("Where the HTTPS API listens; empty: nowhere.")] = Address(
        "127.0.0.1", 8443
    )
    tls_certificate: Annotated[
        Path | None,
        about(
            "PEM file, the server's certificate chain for every TLS port; empty: one from Muster's own CA."
        ),
    ] = None
    tls_key: Annotated[Path | None, about("PEM file with the key that belongs to `tls_certificate`.")] = None
    public_url: Annotated[
        str, about("The address users and devices reach the API at, for links; empty: that of `http`.")
    ] = ""
    upstream_ports: Annotated[
        bool,
        about(
            "Also listen, on the host of `http`, where upstream's services listen (8180, 8182, …, 9001, …)."
        ),
    ] = False

    mqtt: Annotated[
        Address | None, about("Where the broker takes MQTT 3.1.1; empty: nowhere.", opens="Messages")
    ] = Address("127.0.0.1", 1883)
    mqtts: Annotated[Address | None, about("Where MQTT over TLS is taken; empty: nowhere.")] = Address(
        "127.0.0.1", 8883
    )
    mqtt_ws: Annotated[
        Address | None, about("Where MQTT over WebSocket is taken (path /mqtt); empty: nowhere.")
    ] = Address("127.0.0.1", 8083)
    adapter_mqtt: Annotated[Address | None, about("Where Hono's MQTT adapter listens; empty: nowhere.")] = (
        Address("127.0.0.1", 1884)
    )
    adapter_mqtts: Annotated[
        Address | None,
        about("Where Hono's MQTT adapter listens with TLS, such as 127.0.0.1:8884; empty: nowhere."),
    ] = None
    nats_url: Annotated[
        SecretUrl | None,
        about("An existing NATS cluster, nats://user:password@host:4222,…; empty: a broker of Muster's own."),
    ] = None
    nats_mqtt: Annotated[
        Addresses | None,
        about("Where that cluster's nodes take MQTT, host:port,…; the TLS port passes devices on to them."),
    ] = None
    nats_binary: Annotated[
        Path | None, about("The nats-server program to run; empty: the one installed with Muster.")
    ] = None
    mqtt_max_connections: Annotated[
        int,
        about("How many devices may be connected to one broker or adapter at a time.", ge=1, le=10_000_000),
    ] = 65_536
    max_message_bytes: Annotated[
        Size, about("The largest message, over MQTT and HTTP.", ge=1024, le=64 * 1024**2)
    ] = Size(1024**2)
    messages_max_age: Annotated[
        timedelta, about("How long the messages of a channel can be read back; 0: they are not kept.")
    ] = timedelta(0)
    messages_max_bytes: Annotated[
        Size, about("How much all messages kept may take; the oldest go first.", ge=1024**2)
    ] = Size(256 * 1024**2)

    database_url: Annotated[
        SecretUrl | None,
        about(
            "postgresql://user:password@host/name; empty: SQLite, the file muster.db in the data folder.",
            opens="Database and secrets",
        ),
    ] = None
    master_key: Annotated[
        Secret | None,
        about(
            "Seals every secret at rest: base64url of at least 32 random bytes (openssl rand -base64 32), "
            "the newest first if there are several, separated by commas; empty: a key file made at first "
            "start, mode 0600."
        ),
    ] = None
    bootstrap_encrypt_key: Annotated[
        Secret | None,
        about(
            "The key of upstream's secure bootstrap fetch, 16, 24 or 32 bytes, shared with the devices; "
            "empty: that form of the fetch is off. The keys upstream publishes are refused.",
            upstream="BOOTSTRAP_ENCRYPT_KEY",
        ),
    ] = None

    admin_username: Annotated[
        str,
        about(
            "The administrator made at first start.",
            opens="People",
            upstream="USERS_ADMIN_USERNAME",
            min_length=1,
            max_length=1024,
        ),
    ] = "admin"
    admin_email: Annotated[
        str,
        about("Her e-mail address.", upstream="USERS_ADMIN_EMAIL", pattern=EMAIL, max_length=254),
    ] = "admin@example.com"
    admin_password: Annotated[
        Secret | None,
        about(
            "Her password at first start; empty: a random one, printed once.",
            upstream="USERS_ADMIN_PASSWORD",
        ),
    ] = None
    self_register: Annotated[
        bool,
        about("Whether anybody may make an account for herself.", upstream="USERS_ALLOW_SELF_REGISTER"),
    ] = True
    password_regex: Annotated[
        str,
        about("What a password must match as a whole.", upstream="USERS_PASS_REGEX"),
    ] = ".{8,}"  # noqa: S105 a pattern
    access_token_lifetime: Annotated[
        timedelta,
        about("How long an access token is valid.", upstream="AUTH_ACCESS_TOKEN_DURATION"),
    ] = timedelta(hours=1)
    refresh_token_lifetime: Annotated[
        timedelta,
        about("How long a refresh token is valid.", upstream="AUTH_REFRESH_TOKEN_DURATION"),
    ] = timedelta(hours=24)
    legacy_token_lifetime: Annotated[
        timedelta, about("How long a token of the Mainflux API is valid; it cannot be refreshed.")
    ] = timedelta(hours=10)

    mail_url: Annotated[
        SecretUrl | None,
        about(
            "The mail server for password recovery, smtp://user:password@host:587 (STARTTLS where it offers "
            "it) or smtps://…:465; empty: no mail is sent, an admin hands out recovery tokens."
        ),
    ] = None
    mail_from: Annotated[
        str, about("The address Muster's mail comes from.", pattern=EMAIL, max_length=254)
    ] = "muster@localhost"

    max_body_bytes: Annotated[
        Size, about("The largest request body.", opens="Limits", ge=1024, le=1024**3)
    ] = Size(16 * 1024**2)
    max_metadata_bytes: Annotated[
        Size, about("The largest metadata of one entity, as JSON.", ge=256, le=16 * 1024**2)
    ] = Size(64 * 1024)
    max_content_bytes: Annotated[
        Size, about("The largest content of a bootstrap configuration.", ge=256, le=64 * 1024**2)
    ] = Size(2 * 1024**2)
    max_bulk: Annotated[int, about("The most entities in one request.", ge=1, le=1_000_000)] = 100_000
    hono_tenant_ids: Annotated[
        str,
        about(
            "What a Hono tenant's id must match as a whole; besides, ids are 1 to 256 printable ASCII "
            "characters without blanks and / + # * >."
        ),
    ] = r"[a-zA-Z0-9\-_.]+"
    hono_device_ids: Annotated[
        str, about("What a Hono device's id must match, also one that is made by a template.")
    ] = r"[a-zA-Z0-9\-_.:=]+"
    hono_auth_ids: Annotated[
        str, about("What the auth-id of a Hono credential with a password must match.")
    ] = r"[a-zA-Z0-9\-_=.]+"
    calls_private: Annotated[
        bool,
        about(
            "Whether what tenants have called (webhooks, OCSP responders) may be at private, loopback and "
            "link-local addresses, and webhooks over plain http."
        ),
    ] = False
    throttle_attempts: Annotated[
        int,
        about(
            "Failed attempts per identity and source within `throttle_window` before 429.", ge=1, le=1_000_000
        ),
    ] = 10
    throttle_window: Annotated[timedelta, about("The time over which failed attempts are counted.")] = (
        timedelta(minutes=1)
    )

    provision_file: Annotated[
        Path | None,
        about(
            "The provision service's config.toml with the layout that /mapping makes; empty: config.toml "
            "in the working folder, if it is there, else one device and two channels.",
            opens="Provisioning",
            upstream="PROVISION_CONFIG_FILE",
        ),
    ] = None

    vault_addr: Annotated[
        str,
        about(
            "A Vault or OpenBao that issues the certificates, https://host:8200; empty: Muster's own CA.",
            opens="Vault",
            upstream="CERTS_VAULT_HOST",
        ),
    ] = ""
    vault_token: Annotated[Secret | None, about("The token for it.", upstream="CERTS_VAULT_TOKEN")] = None
    vault_pki_path: Annotated[
        str, about("Where its PKI engine is mounted.", upstream="CERTS_VAULT_PKI_PATH")
    ] = "pki_int"
    vault_role: Annotated[
        str,
        about("The role of the PKI engine that certificates are issued for.", upstream="CERTS_VAULT_ROLE"),
    ] = ""

    @property
    def base_url(self) -> str:
        """The address of the API in links: `public_url`, else that of `http` or `https`; no final slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        if self.http:
            return f"http://{self.http.reachable}"
        return f"https://{self.https.reachable}" if self.https else ""

    @property
    def password_pattern(self) -> re.Pattern[str]:
        """What a password must match as a whole (fullmatch)."""
        return re.compile(self.password_regex, re.DOTALL)

    def id_pattern(self, name: str) -> re.Pattern[str]:
        """What ids, by the setting's name, must match as a whole (fullmatch); re.error if it is none."""
        re.compile(getattr(self, name))
        return re.compile(rf"(?=[!-~]{{1,256}}\Z)(?![^/+#*>]*[/+#*>])(?:{getattr(self, name)})")

    @property
    def sqlite_file(self) -> Path:
        """The database file, where no database_url is set."""
        return self.data_dir / "muster.db"
