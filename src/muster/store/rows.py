"""Nouns to rows and back, by functions written once for each noun from its fields and its table's columns."""

import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Protocol, Union, get_args, get_origin, get_type_hints

import msgspec
from sqlalchemy import Column, Table, UniqueConstraint

from muster.core import errors
from muster.core.keyholders import Sealer
from muster.core.model import Secret

Row = tuple[Any, ...]
CONTEXT_SEPARATOR = "\0"
"""Between the parts of what a sealed value is bound to; no stored text holds NUL."""

_encode_json = msgspec.json.Encoder().encode


def to_json(value: Any) -> str:
    """Give the text of a JSON value; Malformed for lone surrogates, NUL and what is not JSON."""
    try:
        text = _encode_json(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.Malformed("a value cannot be written as JSON") from error
    if "\\u0000" in text and "\0" in _strings(value):
        raise no_nul()
    return text


def no_nul() -> errors.Malformed:
    """Refuse what PostgreSQL cannot store, so that both databases store the same."""
    return errors.Malformed("text must not contain the character NUL")


def _strings(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "".join(_strings(part) for pair in value.items() for part in pair)
    return "".join(map(_strings, value)) if isinstance(value, list | tuple) else ""


class _Codec(Protocol):
    """How one field is written and read, as Python expressions over the noun `n` and the row `r`."""

    names: dict[str, Any]

    def columns(self, field: str) -> tuple[str, ...]: ...

    def write(self, field: str) -> list[str]: ...

    def read(self, field: str, at: int) -> str: ...

    def value(self, given: Any, seal: "Seals", purpose: str) -> Any:
        """Give the column's value of a field's value, for a comparison."""


class Plain:
    """str, int, bytes and their kinds: what the database stores as it is."""

    names: dict[str, Any] = {}

    def columns(self, field: str) -> tuple[str, ...]:
        return (field,)

    def write(self, field: str) -> list[str]:
        return [f"n.{field}"]

    def read(self, field: str, at: int) -> str:
        del field
        return f"r[{at}]"

    def value(self, given: Any, seal: "Seals", purpose: str) -> Any:
        del seal, purpose
        return given._value_ if isinstance(given, Enum) else given


class Truth(Plain):
    def read(self, field: str, at: int) -> str:
        del field
        return f"bool(r[{at}])"


class Listed(Plain):
    """An enumeration, stored as its value."""

    def __init__(self, kind: type[Enum]) -> None:
        self.kind = kind
        self.names = {f"_{kind.__name__}": {one.value: one for one in kind.__members__.values()}}

    def write(self, field: str) -> list[str]:
        return [f"n.{field}._value_"]

    def read(self, field: str, at: int) -> str:
        del field
        return f"_{self.kind.__name__}[r[{at}]]"

    def value(self, given: Any, seal: "Seals", purpose: str) -> Any:
        del seal, purpose
        return self.kind(given).value


class JsonValue(Plain):
    names: dict[str, Any] = {"to_json": to_json, "from_json": msgspec.json.Decoder().decode}

    def write(self, field: str) -> list[str]:
        return [f"to_json(n.{field}) if n.{field} is not None else None"]

    def read(self, field: str, at: int) -> str:
        del field
        return f"from_json(r[{at}]) if r[{at}] is not None else None"

    def value(self, given: Any, seal: "Seals", purpose: str) -> Any:
        del seal, purpose
        return None if given is None else to_json(given)


class JsonObject(JsonValue):
    def write(self, field: str) -> list[str]:
        return [f"to_json(n.{field}) if n.{field} else '{{}}'"]

    def read(self, field: str, at: int) -> str:
        del field
        return f"from_json(r[{at}]) if r[{at}] != '{{}}' else {{}}"


class Texts(JsonValue):
    """A tuple of strings, as a JSON array."""

    names: dict[str, Any] = {"to_json": to_json, "from_texts": msgspec.json.Decoder(tuple[str, ...]).decode}

    def write(self, field: str) -> list[str]:
        return [f"to_json(n.{field}) if n.{field} else '[]'"]

    def read(self, field: str, at: int) -> str:
        del field
        return f"from_texts(r[{at}]) if r[{at}] != '[]' else ()"


class Sealed(Plain):
    """A Secret: its keyed hash, by which it is found, and the value, sealed for this row and column."""

    def __init__(self, table: str, *, is_found: bool) -> None:
        self.table = table
        self.is_found = is_found

    def columns(self, field: str) -> tuple[str, ...]:
        return (f"{field}_digest", f"{field}_sealed") if self.is_found else (f"{field}_sealed",)

    def write(self, field: str) -> list[str]:
        purpose = f"{self.table}.{field}"
        some = f"if n.{field} is not None else None"
        sealed = f"s.close({purpose!r}, k, n.{field}) {some}"
        return [f"s.digest({purpose!r}, n.{field}) {some}", sealed] if self.is_found else [sealed]

    def read(self, field: str, at: int) -> str:
        at += self.is_found
        return f"s.open('{self.table}.{field}', k, r[{at}]) if r[{at}] is not None else None"

    def value(self, given: Any, seal: "Seals", purpose: str) -> Any:
        return None if given is None else seal.digest(purpose, given)


class Seals:
    """Seals the secrets of rows. Each is bound to its table, column and row, so that none can be moved."""

    __slots__ = ("_sealer", "is_changing")

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self.is_changing = len(sealer.key_ids) > 1
        """Whether there are several master keys: a row may be found by the hash under any of them."""

    def digest(self, purpose: str, secret: Secret) -> bytes:
        return self._sealer.digest(purpose, secret.reveal())

    def digests(self, purpose: str, secrets: Iterable[Secret]) -> list[bytes]:
        """Give the hashes of all these under every master key."""
        return [digest for each in secrets for digest in self._sealer.digests(purpose, each.reveal())]

    def close(self, purpose: str, key: str, secret: Secret) -> bytes:
        return self._sealer.seal(secret.reveal().encode(), f"{purpose}{CONTEXT_SEPARATOR}{key}".encode())

    def open(self, purpose: str, key: str, sealed: bytes) -> Secret:
        context = f"{purpose}{CONTEXT_SEPARATOR}{key}".encode()
        return Secret(self._sealer.open(bytes(sealed), context).decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the store knows about a noun."""

    noun: type[Any]
    table: Table
    name: str
    """The table's."""
    columns: tuple[str, ...]
    """In the order of a row."""
    written: tuple[str, ...]
    """The columns that an insert gives: not a number that the database counts up."""
    key: tuple[str, ...]
    """The fields that identify a row."""
    codecs: dict[str, _Codec]
    """By field."""
    sealed: dict[str, "Sealed"]
    """Those of the fields that are secret."""
    found: dict[str, tuple[str, ...]]
    """By field that is found by its hash: the columns of the index that keeps it unique."""
    is_scoped: bool
    """Its rows belong to a tenant."""
    is_tallied: bool
    """How many rows there are is kept: of each tenant and, if it has one, each status."""
    has_status: bool
    """Its tally depends on the status."""
    is_listed: bool
    """An index serves the default order of its rows of one status."""
    encode: Callable[[Any, Seals], Row]
    """Gives the values of the written columns."""
    decode: Callable[[Row, Seals], Any]

    def column(self, field: str) -> Column[Any]:
        """Give the column that comparisons of *field* look at. ValueError when there is no such field."""
        codec = self.codecs.get(field)
        if codec is None:
            raise ValueError(f"{self.noun.__name__} has no field {field!r}")
        name = codec.columns(field)[0]
        if name.endswith("_sealed"):
            raise ValueError(f"{self.noun.__name__}.{field} is sealed and cannot be looked for")
        column: Column[Any] = self.table.c[name]
        return column

    def value(self, field: str, given: Any, seals: Seals) -> Any:
        """Give the value to compare the column with. Malformed when no text could be equal to it."""
        codec = self.codecs[field]
        if isinstance(given, str):
            if "\0" in given:
                raise no_nul()
            if type(codec) is Plain and type(given) is str:
                return given
        return codec.value(given, seals, f"{self.name}.{field}")

    def identity(self, noun: Any) -> tuple[Any, ...]:
        return tuple(getattr(noun, field) for field in self.key)


def shape_of(noun: type[Any], table: Table, *, is_tallied: bool = False) -> Shape:
    """Work out how *noun* is stored in *table*. TypeError when a field has no column or no known type."""
    hints = get_type_hints(noun)
    codecs = {field.name: _codec_of(hints[field.name], field.name, table) for field in fields(noun)}
    places = {column.name: place for place, column in enumerate(table.c)}
    codecs = dict(sorted(codecs.items(), key=lambda pair: places.get(pair[1].columns(pair[0])[0], -1)))
    columns = tuple(name for field, codec in codecs.items() for name in codec.columns(field))
    missing = [name for name in columns if name not in table.c]
    if missing:
        raise TypeError(f"table {table.name} lacks {missing} of {noun.__name__}")
    key = tuple(column.name for column in table.primary_key)
    is_numbered = table.autoincrement_column is not None
    encode, decode = _write_functions(noun, codecs, key, is_numbered=is_numbered)
    sealed = {field: codec for field, codec in codecs.items() if isinstance(codec, Sealed)}
    return Shape(
        noun=noun,
        table=table,
        name=str(table.name),  # SQLAlchemy's own kind of str is slow to bind
        columns=columns,
        written=columns[:-1] if is_numbered else columns,
        key=key,
        codecs=codecs,
        sealed=sealed,
        found={field: _unique_with(table, field) for field, codec in sealed.items() if codec.is_found},
        is_scoped="tenant_id" in columns,
        is_tallied=is_tallied,
        has_status=is_tallied and "status" in columns,
        is_listed=any(index.name == f"{table.name}_list" for index in table.indexes),
        encode=encode,
        decode=decode,
    )


def _unique_with(table: Table, field: str) -> tuple[str, ...]:
    """Give the columns of the index that keeps a secret unique. TypeError when there is none."""
    indexes = [one.columns for one in table.indexes if one.unique]
    constraints = [one.columns for one in table.constraints if isinstance(one, UniqueConstraint)]
    for columns in (*indexes, *constraints):
        names = tuple(column.name for column in columns)
        if f"{field}_digest" in names:
            return names
    raise TypeError(f"no index of {table.name} keeps {field} unique")


def _codec_of(hint: Any, field: str, table: Table) -> _Codec:
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    if get_origin(hint) in (Union, types.UnionType):
        return _codec_of(next(part for part in get_args(hint) if part is not type(None)), field, table)
    if hint is Any:
        return JsonValue()
    kind = get_origin(hint) or hint
    if kind is Secret:
        return Sealed(table.name, is_found=table.c[f"{field}_sealed"].info["is_found"])
    return _codec_of_class(kind)


def _codec_of_class(kind: type[Any]) -> _Codec:
    if kind is tuple:
        return Texts()
    if kind is bool:
        return Truth()
    if issubclass(kind, Enum):
        return Listed(kind)
    return Plain() if kind in (str, int, bytes) else JsonObject()


def _write_functions(
    noun: type[Any], codecs: dict[str, _Codec], key: tuple[str, ...], *, is_numbered: bool
) -> tuple[Callable[[Any, Seals], Row], Callable[[Row, Seals], Any]]:
    if hasattr(noun, "__post_init__"):
        raise TypeError(f"{noun.__name__} is read without being initialised: it can have no __post_init__")
    names: dict[str, Any] = {"noun": noun, "new": object.__new__, "sep": CONTEXT_SEPARATOR, "no_nul": no_nul}
    written: list[str] = []
    read: list[str] = []
    places: dict[str, int] = {}
    for field, codec in codecs.items():
        names |= codec.names | {f"set_{field}": getattr(noun, field).__set__}
        places[field] = len(written)
        # A frozen dataclass sets its fields one by one through object.__setattr__: five times as long.
        read.append(f"set_{field}(n, {codec.read(field, len(written))})")
        written += codec.write(field)
    if is_numbered:
        written.pop()  # the id, last by name
    # What a sealed value is bound to: its row's key.
    has_secret = any(isinstance(codec, Sealed) for codec in codecs.values())
    key_of_noun = f"k = sep.join(({', '.join(f'n.{field}' for field in key)},))" if has_secret else ""
    key_of_row = f"k = sep.join(({', '.join(f'r[{places[field]}]' for field in key)},))" if has_secret else ""
    plain = "".join(f"{{n.{field}}}" for field, codec in codecs.items() if type(codec) is Plain)
    source = f"""
def encode(n, s):
    if sep in f"{plain}": raise no_nul()
    {key_of_noun}
    return ({", ".join(written)},)

def decode(r, s):
    {key_of_row}
    n = new(noun)
    {"; ".join(read)}
    return n
"""
    exec(source, names)  # noqa: S102 the text is made of the field names of our own dataclasses
    return names["encode"], names["decode"]
