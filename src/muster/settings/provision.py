"""The provision service's own settings: upstream's variables and config.toml, however they are spelled.

A value in the file counts before the environment, as upstream has it; but a boolean of the file can be false,
and what cannot be honoured stops the start instead of being lost.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Literal

from muster.core import layout as layouts
from muster.core.layout import EXTERNAL_ID, KeyType, Layout
from muster.core.model import Secret
from muster.settings.layoutfile import FileWords, read_words
from muster.settings.meaning import key_of
from muster.settings.problems import Problem
from muster.settings.spellings import Meaning
from muster.settings.tomlfile import TomlFile
from muster.settings.values import write
from muster.settings.variables import SERVICE, Said, VariableWords, read_variables

DEFAULT: Final = "default"
Vocabulary = Literal["clients", "things"]
DEVICE_NAMES: Final[Mapping[str, str]] = {"clients": "client", "things": "thing"}
NO_FILE: Final = FileWords(said={}, devices=None, channels=None, device_table="", prefix="", notices=())
UPSTREAM_TTL: Final = timedelta(hours=2400)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionSettings:
    """What POST /mapping makes, and as whom when the request names nobody."""

    layout: Layout = layouts.DEFAULT
    has_own_layout: bool = False
    """Whether the file lists devices and channels; else they are upstream's default."""
    vocabulary: Vocabulary = "clients"
    """The words of a /mapping without any header: the file's table decides, else the prefix in use."""
    vocabulary_from: str = DEFAULT
    username: str = ""
    """A user name or an e-mail address; empty: no user is configured."""
    email: str = ""
    password: Secret | None = None
    api_key: Secret | None = None
    """Counts before user name and password (spec C.3)."""
    domain_id: str = ""
    """The tenant of a /mapping that names none; empty: the caller's only or personal one."""
    file: str = ""
    """The file that was read; empty: none."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each value came from; no entry: the default."""
    notices: tuple[str, ...] = ()
    """One line each, to be printed at start."""

    @property
    def login(self) -> str:
        """The name to log in with for a request without credentials; empty: there is none."""
        return self.username or self.email

    def layout_for(self, vocabulary: Vocabulary) -> Layout:
        """Give the layout; upstream's default device is named as that dialect names it (spec C.2)."""
        if self.has_own_layout:
            return self.layout
        return replace(self.layout, devices=layouts.default(DEVICE_NAMES[vocabulary]).devices)

    def summary(self) -> dict[str, tuple[str, str]]:
        """Give what was decided, as text, with its source; of secrets only that they are there."""
        layout, listed = self.layout, self.file if self.has_own_layout else DEFAULT
        shown: dict[str, Any] = {
            "username": self.username,
            "email": self.email,
            "password": self.password,
            "api_key": self.api_key,
            "domain_id": self.domain_id,
            "provision": layout.makes_bootstrap,
            "auto_whitelist": layout.is_whitelisted,
            "x509": layout.makes_certificates,
            "ttl": timedelta(hours=layout.certificate_ttl_hours),
            "key_type": layout.key_type,
            "key_bits": layout.key_bits,
            "content": "" if layout.content is None else "…",
        }
        return {
            "devices": (", ".join(device.name for device in layout.devices), listed),
            "channels": (", ".join(channel.name for channel in layout.channels), listed),
            "vocabulary": (self.vocabulary, self.vocabulary_from),
            **{name: (write(value), self.sources.get(name, DEFAULT)) for name, value in shown.items()},
        }


def read_provision(
    environ: Mapping[str, str], file: TomlFile | None, problems: list[Problem]
) -> ProvisionSettings:
    """Read both and merge them; what is wrong goes to *problems*."""
    spoken = read_variables(environ, problems)
    written = read_words(file, problems) if file else NO_FILE
    said = _merge(spoken.said, written.said)
    values = {meaning: each.value for meaning, each in said.items()}
    problems.extend(_contradictions(said))
    problems.extend(_missing(file, written))
    vocabulary, decided_by = _vocabulary(spoken, written)
    settings = ProvisionSettings(
        layout=_layout(values, written, _keys(said, problems)),
        has_own_layout=bool(written.devices and written.channels),
        vocabulary=vocabulary,
        vocabulary_from=decided_by,
        username=values.get("username", ""),
        email=values.get("email", ""),
        password=values.get("password"),
        api_key=values.get("api_key"),
        domain_id=values.get("domain_id", ""),
        file=str(file.path) if file else "",
        sources={meaning: each.where for meaning, each in said.items()},
        notices=(*spoken.notices, *written.notices),
    )
    settings = replace(settings, layout=settings.layout_for(vocabulary))
    return replace(settings, notices=(*settings.notices, *_advice(settings)))


def _merge(spoken: Mapping[Meaning, Said], written: Mapping[Meaning, Said]) -> dict[Meaning, Said]:
    merged = {**spoken, **written}
    kind = written.get("key_type")
    if kind and kind.value is not KeyType.RSA and "key_bits" not in written:
        merged.pop("key_bits", None)  # the variable is called CERTS_RSA_BITS
    return merged


def _contradictions(said: Mapping[Meaning, Said]) -> Iterator[Problem]:
    provision, whitelist = said.get("provision"), said.get("auto_whitelist")
    if provision and not provision.value and (whitelist is None or whitelist.value):
        yield Problem(
            provision.where, "what is not provisioned cannot be whitelisted: switch autowhite_list off, too"
        )
    login, password = said.get("username") or said.get("email"), said.get("password")
    if login and not password:
        yield Problem(login.where, "the password of this user is missing; there is no default")
    if password and not login:
        yield Problem(password.where, "the user of this password is missing")


def _missing(file: TomlFile | None, written: FileWords) -> Iterator[Problem]:
    listed = {"clients": written.devices, "channels": written.channels}
    if file and any(entries is not None for entries in listed.values()):
        for name, entries in listed.items():
            if not entries:
                yield Problem(str(file.path), f"[[{name}]] is missing: a layout has at least one of each")


def _keys(said: Mapping[Meaning, Said], problems: list[Problem]) -> tuple[KeyType, int]:
    kind, bits = said.get("key_type"), said.get("key_bits")
    try:
        return key_of(kind.value if kind else None, bits.value if bits else None)
    except ValueError as error:
        problems.append(Problem(bits.where if bits else "", str(error)))
        return key_of(None, None)


def _layout(values: Mapping[Meaning, Any], written: FileWords, keys: tuple[KeyType, int]) -> Layout:
    return Layout(
        devices=written.devices or layouts.DEFAULT.devices,
        channels=written.channels or layouts.DEFAULT.channels,
        content=values.get("content"),
        makes_bootstrap=values.get("provision", True),
        is_whitelisted=values.get("auto_whitelist", True),
        makes_certificates=values.get("x509", False),
        certificate_ttl_hours=values.get("ttl", UPSTREAM_TTL) / timedelta(hours=1),
        key_type=keys[0],
        key_bits=keys[1],
    )


def _vocabulary(spoken: VariableWords, written: FileWords) -> tuple[Vocabulary, str]:
    """The layout's table decides, else the prefix of keys or variables in use, else it is Magistrala's."""
    if written.device_table:
        return ("things" if written.device_table == "things" else "clients"), f"[[{written.device_table}]]"
    if written.prefix:
        return ("things" if written.prefix == "mf_" else "clients"), f"{written.prefix}* in [server]"
    if spoken.prefix:
        return ("things" if spoken.prefix == "MF_" else "clients"), f"{spoken.prefix}{SERVICE}*"
    return "clients", DEFAULT


def _advice(settings: ProvisionSettings) -> Iterator[str]:
    marked = sum(device.has_bootstrap for device in settings.layout.devices)
    if settings.layout.makes_bootstrap and not marked:
        yield (
            f"{settings.file}: no [[{settings.vocabulary}]] of the layout has {EXTERNAL_ID} in its metadata, "
            "so no bootstrap configuration is made"
        )
    if settings.layout.makes_bootstrap and marked > 1:
        yield (
            f"{settings.file}: {marked} [[{settings.vocabulary}]] have {EXTERNAL_ID} in their metadata; "
            "the first one gets the bootstrap configuration"
        )
