"""The provision service's config.toml: its values and its layout, in every spelling, sample files too."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from muster.core.layout import LayoutChannel, LayoutDevice
from muster.core.model import Metadata
from muster.settings import spellings
from muster.settings.meaning import MEANINGS, Misplaced, read_days, read_text, to_json
from muster.settings.problems import Problem, did_you_mean
from muster.settings.spellings import Meaning
from muster.settings.tomlfile import Key, TomlFile
from muster.settings.variables import Said, notices_of

IGNORED: Final = frozenset({"file", "send_telemetry"})
TABLES: Final = (*spellings.DEVICE_TABLES, "channels", "server", "bootstrap", *spellings.CERTIFICATE_TABLES)
LOGINS: Final[Mapping[str, Meaning]] = {
    prefix + name: meaning for prefix in spellings.FILE_PREFIXES for name, meaning in spellings.SERVER.items()
}
"""The keys of [server] that mean something, the ones that count most first."""
ENTRY: Final = ("name", "metadata")
MAX_NAME: Final = 1024
"""Bytes (spec A.0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWords:
    """What the file says."""

    said: Mapping[Meaning, Said]
    devices: tuple[LayoutDevice, ...] | None
    """None: the file lists none, which is not the same as an empty list."""
    channels: tuple[LayoutChannel, ...] | None
    device_table: str
    """`things` or `clients`, whichever lists the devices; empty: neither."""
    prefix: str
    """Of all prefixes in [server] the one that counts most; empty: none is there."""
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """The file being read, and the list that everything wrong with it goes to."""

    file: TomlFile
    problems: list[Problem]

    def wrong(self, reason: str, *keys: Key) -> None:
        self.problems.append(Problem(self.file.where(*keys), reason))

    def table(self, name: str) -> dict[str, Any]:
        table = self.file.data.get(name, {})
        if isinstance(table, dict):
            return table
        self.wrong(f"expected a table, [{name}]", name)
        return {}

    def read(self, reader: Callable[[Any], Any], value: Any, *keys: Key) -> Said | None:
        """Give what is said under *keys*; None if that is nothing, or wrong."""
        if value == "":
            return None
        try:
            return Said(reader(value), self.file.where(*keys))
        except Misplaced as error:
            self.wrong(str(error), *keys, *error.keys)
        except ValueError as error:
            self.wrong(str(error), *keys)
        return None

    def is_refused(self, value: Any, *keys: Key) -> bool:
        reason = spellings.REFUSED.get(str(keys[-1]).lower())
        if reason and value not in ("", [], {}, False):
            self.wrong(reason, *keys)
        return reason is not None


def read_words(file: TomlFile, problems: list[Problem]) -> FileWords:
    """Read everything; what is wrong, or would be lost, goes to *problems*."""
    page = _Page(file, problems)
    _check_tables(page)
    server = page.table("server")
    device_table = _device_table(page)
    devices = _entries(page, device_table) if device_table else None
    channels = _entries(page, "channels") if "channels" in file.data else None
    return FileWords(
        said=dict([*_server(page, server), *_bootstrap(page), *_certificates(page)]),
        devices=None if devices is None else tuple(LayoutDevice(name=n, metadata=m) for n, m in devices),
        channels=None if channels is None else tuple(LayoutChannel(name=n, metadata=m) for n, m in channels),
        device_table=device_table,
        prefix=_prefix(server),
        notices=tuple(_notices(page, server)),
    )


def _check_tables(page: _Page) -> None:
    for name in page.file.data:
        plural = spellings.SINGULAR.get(name.lower())
        if plural:
            page.wrong(f"[{name}…] is lost: write [[{plural}]], and [{plural}.metadata] below it", name)
        elif name not in TABLES and name.lower() not in IGNORED:
            page.wrong(f"nothing here is called {name}.{did_you_mean(name, TABLES)}", name)


def _server(page: _Page, server: Mapping[str, Any]) -> Iterator[tuple[Meaning, Said]]:
    """Give logins; a later one overrides an earlier one, so what counts most comes last."""
    ignored = spellings.SERVER_OTHER_SERVICES | spellings.SERVER_OWN_PROCESS
    for key, value in server.items():
        if key.lower() not in {*LOGINS, *ignored} and not page.is_refused(value, "server", key):
            known = [*LOGINS, *ignored]
            page.wrong(f"[server] has no key {key}.{did_you_mean(key.lower(), known)}", "server", key)
    for login in reversed(list(LOGINS)):
        for key in (key for key in server if key.lower() == login):
            if said := page.read(MEANINGS[LOGINS[login]], server[key], "server", key):
                yield LOGINS[login], said


def _prefix(server: Mapping[str, Any]) -> str:
    used = [key.lower() for key, value in server.items() if value != ""]
    return next((prefix for prefix in spellings.FILE_PREFIXES if any(k.startswith(prefix) for k in used)), "")


def _notices(page: _Page, server: Mapping[str, Any]) -> Iterator[str]:
    used = [(f"server.{key}", key.lower()) for key, value in server.items() if value != ""]
    yield from notices_of(
        f"{page.file.path}: ",
        [name for name, key in used if key in spellings.SERVER_OTHER_SERVICES],
        [name for name, key in used if key in spellings.SERVER_OWN_PROCESS],
    )


def _bootstrap(page: _Page) -> Iterator[tuple[Meaning, Said]]:
    for key, value in page.table("bootstrap").items():
        meaning = spellings.BOOTSTRAP.get(key.lower())
        if meaning:
            if said := page.read(MEANINGS[meaning], value, "bootstrap", key):
                yield meaning, said
        elif not page.is_refused(value, "bootstrap", key):
            hint = did_you_mean(key.lower(), spellings.BOOTSTRAP)
            page.wrong(f"[bootstrap] has no key {key}.{hint}", "bootstrap", key)


def _certificates(page: _Page) -> Iterator[tuple[Meaning, Said]]:
    seen: dict[Meaning, Said] = {}
    for table in spellings.CERTIFICATE_TABLES:
        for key, value in page.table(table).items():
            meaning = spellings.CERTIFICATES.get(key.lower())
            if meaning is None:
                hint = did_you_mean(key.lower(), spellings.CERTIFICATES)
                page.wrong(f"[{table}] has no key {key}.{hint}", table, key)
                continue
            said = page.read(
                read_days if key.lower() == "days_valid" else MEANINGS[meaning], value, table, key
            )
            if said and meaning in seen and seen[meaning].value != said.value:
                page.wrong(f"{seen[meaning].where} says something else", table, key)
            elif said:
                seen[meaning] = said
    yield from seen.items()


def _device_table(page: _Page) -> str:
    tables = [table for table in spellings.DEVICE_TABLES if table in page.file.data]
    if len(tables) > 1:
        page.wrong("a layout has [[things]] or [[clients]], not both", "clients")
    return tables[0] if tables else ""


def _entries(page: _Page, table: str) -> list[tuple[str, Metadata]]:
    """Read the list of tables of that name."""
    entries = page.file.data[table]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        page.wrong(f"expected a list of tables, [[{table}]]", table)
        return []
    return [_entry(page, entry, table, index) for index, entry in enumerate(entries)]


def _entry(page: _Page, entry: Mapping[str, Any], table: str, index: int) -> tuple[str, Metadata]:
    for key in entry.keys() - set(ENTRY):
        hint = did_you_mean(key, ENTRY) or f" Is it meant for [{table}.metadata]?"
        page.wrong(f"[[{table}]] has no key {key}, it would be lost.{hint}", table, index, key)
    name = page.read(_read_name, entry.get("name", ""), table, index, "name")
    metadata = page.read(_read_metadata, entry.get("metadata", {}), table, index, "metadata")
    return name.value if name else "", metadata.value if metadata else {}


def _read_name(value: Any) -> str:
    name = read_text(value)
    if len(name.encode()) > MAX_NAME:
        raise ValueError(f"a name has at most {MAX_NAME} bytes")
    return name


def _read_metadata(value: Any) -> Metadata:
    if not isinstance(value, dict):
        raise ValueError("expected a table")  # noqa: TRY004 every reader says ValueError
    metadata: Metadata = to_json(value)
    return metadata
