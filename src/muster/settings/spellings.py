"""How upstream's provision service spells its settings, over the years (spec C.1, C.2). Only data."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

Meaning = Literal[
    "username",
    "email",
    "password",
    "api_key",
    "domain_id",
    "provision",
    "auto_whitelist",
    "x509",
    "content",
    "key_type",
    "key_bits",
    "ttl",
]

# --- environment, after MG_PROVISION_, SMQ_PROVISION_ or MF_PROVISION_ ----------------------------------

VARIABLES: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "USERNAME": "username",
        "USER": "username",
        "EMAIL": "email",
        "PASS": "password",
        "PASSWORD": "password",
        "API_KEY": "api_key",
        "DOMAIN_ID": "domain_id",
        "BS_CONFIG_PROVISIONING": "provision",
        "BS_AUTO_WHITELIST": "auto_whitelist",
        "BS_AUTO_WHITEIST": "auto_whitelist",  # the README of M12
        "X509_PROVISIONING": "x509",
        "BS_CONTENT": "content",
        "CERTS_RSA_BITS": "key_bits",
        "CERTS_HOURS_VALID": "ttl",
    }
)
"""Of two spellings of one meaning, the one that stands first counts."""

FILE_VARIABLE: Final = "CONFIG_FILE"
"""Read as the setting provision_file."""

OTHER_SERVICES: Final = frozenset(
    {
        "USERS_LOCATION",
        "USERS_URL",
        "THINGS_LOCATION",
        "THINGS_URL",
        "CLIENTS_LOCATION",
        "CLIENTS_URL",
        "CHANNELS_LOCATION",
        "CHANNELS_URL",
        "CERTS_LOCATION",
        "CERTS_URL",
        "BS_SVC_URL",
        "BS_SVC_WHITELIST_URL",
        "CERTS_SVC_URL",
        "MQTT_URL",
    }
)
OWN_PROCESS: Final = frozenset(
    {"LOG_LEVEL", "HTTP_PORT", "HTTP_HOST", "ENV_CLIENTS_TLS", "CA_CERTS", "INSTANCE_ID", "SEND_TELEMETRY"}
)

# --- config.toml; keys are compared without regard to case ------------------------------------------------

FILE_PREFIXES: Final = ("mg_", "smq_", "mf_")
SERVER: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "username": "username",
        "user": "username",
        "email": "email",
        "pass": "password",
        "password": "password",
        "api_key": "api_key",
        "domain_id": "domain_id",
    }
)
"""After mg_, smq_ or mf_ in the table [server]."""
SERVER_OTHER_SERVICES: Final = frozenset(
    {f"{prefix}{name}" for prefix in FILE_PREFIXES for name in ("bs_url", "white_list", "certs_url")}
    | {
        f"{service}_{form}"
        for service in ("users", "things", "clients", "channels", "certs")
        for form in ("location", "url")
    }
    | {"mqtt_url"}
)
SERVER_OWN_PROCESS: Final = frozenset({"port", "http_port", "log_level", "loglevel", "tls", "ca_certs"})

BOOTSTRAP: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "provision": "provision",
        "autowhite_list": "auto_whitelist",
        "x509_provision": "x509",
        "content": "content",
    }
)
CERTIFICATES: Final[Mapping[str, Meaning]] = MappingProxyType(
    {"ttl": "ttl", "hours_valid": "ttl", "days_valid": "ttl", "key_bits": "key_bits", "key_type": "key_type"}
)
CERTIFICATE_TABLES: Final = ("certs", "cert")
DEVICE_TABLES: Final = ("things", "clients")
SINGULAR: Final[Mapping[str, str]] = MappingProxyType(
    {"thing": "things", "client": "clients", "channel": "channels"}
)

# --- refused when they say something, because Muster would not do it -------------------------------------

_TLS: Final = "Muster serves TLS itself: set MUSTER_HTTPS and MUSTER_TLS_CERTIFICATE, and leave this empty"
_PROFILE: Final = "bootstrap profiles are a later upstream's; write the content itself: [bootstrap.content]"
REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "server_cert": _TLS,
        "server_key": _TLS,
        "profile_id": _PROFILE,
        "render_context": _PROFILE,
        "bindings": _PROFILE,
    }
)
REFUSED_VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SERVER_CERT": _TLS,
        "SERVER_KEY": _TLS,
        "BS_PROFILE_ID": _PROFILE,
    }
)
