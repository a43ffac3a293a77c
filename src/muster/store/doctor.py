"""Proves on a live database that it is whole: nothing dangles, every seal opens, every tally is the count."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from muster.core.certificates import AuthorityRecord
from muster.core.errors import MusterError
from muster.core.keyholders import Sealer
from muster.core.model import BootstrapConfig, Device, Kind
from muster.store import proofs
from muster.store import tables as t
from muster.store.flavor import POSTGRES, SQLITE, Flavor
from muster.store.nouns import SHAPES
from muster.store.rows import CONTEXT_SEPARATOR, Sealed, Shape
from muster.store.statements import tally_columns
from muster.store.upkeep import snapshot

BATCH = 2000
_REMARKS_PER_CHECK = 100
_LOOKED_AT = (AuthorityRecord, Device, BootstrapConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it must be."""

    table: str
    row: str
    """The row's key, as text; empty when it is about the whole table."""
    problem: str


def examine(url: str, sealer: Sealer) -> list[Finding]:
    """Read the whole database as it is at one moment; give what is wrong with it.

    At most 100 remarks come of one check. Unavailable when the database does not answer.
    """
    with snapshot(url) as connection:
        flavor = SQLITE if connection.dialect.name == "sqlite" else POSTGRES
        checks = [_file(connection), *_references(connection), *_records(connection, flavor)]
        checks += [*_certificates(connection)]
        checks += [_seals(connection, shape, sealer) for shape in SHAPES.values()]
        checks += [_tallies(connection, shape) for shape in SHAPES.values() if shape.is_tallied]
        return [finding for check in checks for finding in _first(check)]


def fits(url: str, sealer: Sealer) -> bool:
    """Say whether these keys sealed the database: what is sealed opens, or nothing is yet.

    A look at a row of each kind, not at all of them. Unavailable when the database does not answer.
    """
    with snapshot(url) as connection:
        opened = [_opens(connection, SHAPES[noun], sealer) for noun in _LOOKED_AT]
    return True in opened or False not in opened


def _opens(connection: sa.Connection, shape: Shape, sealer: Sealer) -> bool | None:
    """Say whether what is sealed in the first row opens; None when there is nothing sealed in it."""
    row = connection.execute(sa.select(shape.table).limit(1)).mappings().first()
    held = [each for each in shape.sealed.items() if row is not None and row[f"{each[0]}_sealed"] is not None]
    return not any(_seal(shape, *each, row, sealer) for each in held) if held else None


def _first(check: Iterator[Finding]) -> list[Finding]:
    return [finding for finding, _ in zip(check, range(_REMARKS_PER_CHECK), strict=False)]


def _file(connection: sa.Connection) -> Iterator[Finding]:
    """SQLite's own look at its file."""
    if connection.dialect.name == "sqlite":
        for (said,) in connection.exec_driver_sql("PRAGMA quick_check(20)"):
            if said != "ok":
                yield Finding(table="", row="", problem=str(said))


# --- nothing dangles ----------------------------------------------------------------------------------

_DEVICE = (t.devices.c.id, t.devices.c.tenant_id)
_LINKS: tuple[tuple[sa.Table, tuple[str, ...], tuple[sa.Column[Any], ...]], ...] = (
    (t.connections, ("device_id", "tenant_id"), _DEVICE),
    (t.connections, ("channel_id", "tenant_id"), (t.channels.c.id, t.channels.c.tenant_id)),
    (t.bootstrap_configs, ("device_id", "tenant_id"), _DEVICE),
    (t.presences, ("device_id", "tenant_id"), _DEVICE),
    (proofs.credentials, ("device_id", "tenant_id"), _DEVICE),
    (proofs.credential_sets, ("device_id", "tenant_id"), _DEVICE),
    (t.members, ("role_id", "tenant_id"), (t.roles.c.id, t.roles.c.tenant_id)),
    (t.members, ("user_id",), (t.users.c.id,)),
    (t.invitations, ("role_id", "tenant_id"), (t.roles.c.id, t.roles.c.tenant_id)),
    (t.invitations, ("user_id",), (t.users.c.id,)),
    (t.devices, ("group_id", "tenant_id"), (t.groups.c.id, t.groups.c.tenant_id)),
    (t.channels, ("group_id", "tenant_id"), (t.groups.c.id, t.groups.c.tenant_id)),
    (t.groups, ("parent_id", "tenant_id"), (t.groups.c.id, t.groups.c.tenant_id)),
    (t.api_keys, ("user_id",), (t.users.c.id,)),
    (t.users, ("personal_tenant",), (t.tenants.c.id,)),
)
"""Which columns of a table name which row of another, in the same tenant; nothing is named by NULL."""
_OF_TENANTS = (
    t.devices,
    t.channels,
    t.groups,
    t.roles,
    t.bootstrap_configs,
    t.provision_records,
    proofs.denials,
    t.usages,
    proofs.trusted_cas,
    t.webhooks,
)
_AWAITS_THE_BROKER = sa.exists(
    sa.select(1).where(
        t.events.c.tenant_id == t.client_id_claims.c.tenant_id,
        t.events.c.key == t.client_id_claims.c.device_id,
    )
)
"""A client id stays claimed until the broker, which may be away, has dropped what it keeps for it."""
_ENTITIES = {Kind.TENANT: t.tenants, Kind.GROUP: t.groups, Kind.DEVICE: t.devices, Kind.CHANNEL: t.channels}


def _references(connection: sa.Connection) -> Iterator[Iterator[Finding]]:
    for table, columns, target in _LINKS:
        yield _link(connection, table, columns, target)
    for table in _OF_TENANTS:
        yield _link(connection, table, ("tenant_id",), (t.tenants.c.id,))
    yield _link(connection, t.client_id_claims, ("device_id", "tenant_id"), _DEVICE, ~_AWAITS_THE_BROKER)
    for kind, target_table in _ENTITIES.items():
        named = t.roles.c.entity_kind == kind.value
        yield _link(connection, t.roles, ("entity_id",), (target_table.c.id,), named)


def _link(
    connection: sa.Connection,
    table: sa.Table,
    columns: tuple[str, ...],
    target: tuple[sa.Column[Any], ...],
    *where: sa.ColumnElement[bool],
) -> Iterator[Finding]:
    """Find the rows whose columns name what is not there."""
    other = target[0].table.alias()
    named = [other.c[to.name] == table.c[name] for name, to in zip(columns, target, strict=True)]
    key = list(table.primary_key)
    lost = (
        sa.select(*key)
        .where(table.c[columns[0]].is_not(None), *where)
        .where(~sa.exists(sa.select(1).select_from(other).where(*named)))
    )
    for row in connection.execute(lost):
        yield Finding(
            table=table.name, row=_shown(row), problem=f"{columns[0]} names nothing in {target[0].table}"
        )


def _records(connection: sa.Connection, flavor: Flavor) -> Iterator[Iterator[Finding]]:
    """A mapping whose answer still stands is whole; what a mapping made belongs to one."""
    record = t.provision_records
    for column, target in ((record.c.device_ids, t.devices), (record.c.channel_ids, t.channels)):
        made = flavor.elements(column)
        there = sa.select(1).where(target.c.id == made.c.value, target.c.tenant_id == record.c.tenant_id)
        yield _half_made(
            connection,
            sa.select(record.c.tenant_id, record.c.external_id)
            .select_from(record.join(made, sa.true()))
            .where(record.c.answer_sealed.is_not(None), ~sa.exists(there)),
            f"it made something in {target.name} that is not there",
        )
    for made_of in (t.devices, t.channels):
        of = sa.select(1).where(
            record.c.tenant_id == made_of.c.tenant_id, record.c.external_id == made_of.c.mapping_id
        )
        orphans = sa.select(made_of.c.id, made_of.c.tenant_id).where(
            made_of.c.mapping_id.is_not(None), ~sa.exists(of)
        )
        yield _half_made(connection, orphans, "the mapping that made it is not there", made_of.name)


def _half_made(
    connection: sa.Connection, lost: sa.Select[Any], problem: str, table: str = "provision_records"
) -> Iterator[Finding]:
    for row in connection.execute(lost):
        yield Finding(table=table, row=_shown(row), problem=problem)


def _shown(row: Any) -> str:
    return " ".join(map(str, row))


def _certificates(connection: sa.Connection) -> Iterator[Iterator[Finding]]:
    """A good certificate is of a device and of a CA that are there; a revoked one is on its CA's list.

    The record of a revoked or expired one outlives its device. Vault's CA is not kept here.
    """
    made, entry = proofs.certificates, proofs.revocations
    now = time.time_ns() // 1000
    is_good = (made.c.revoked_at == 0, made.c.not_after > now)
    yield _link(connection, made, ("device_id", "tenant_id"), _DEVICE, *is_good)
    signer = proofs.authorities.c.id == sa.literal("issuing-").concat(made.c.issuer_id)
    unknown = sa.select(made.c.id).where(
        made.c.issuer_id != "vault", ~sa.exists(sa.select(1).select_from(proofs.authorities).where(signer))
    )
    yield _half_made(connection, unknown, "the CA that signed it is not there", "certificates")
    same = sa.and_(entry.c.id == made.c.id, entry.c.issuer_id == made.c.issuer_id)
    unlisted = sa.select(made.c.id).where(
        made.c.revoked_at != 0, ~sa.exists(sa.select(1).select_from(entry).where(same))
    )
    yield _half_made(connection, unlisted, "it is revoked and on no revocation list", "certificates")
    revoked = sa.select(1).select_from(made).where(same, made.c.revoked_at != 0)
    good = sa.select(entry.c.id).where(
        sa.exists(sa.select(1).select_from(made).where(same)), ~sa.exists(revoked)
    )
    yield _half_made(connection, good, "its certificate is not revoked", "revocations")


# --- every seal opens ---------------------------------------------------------------------------------


def _seals(connection: sa.Connection, shape: Shape, sealer: Sealer) -> Iterator[Finding]:
    sealed = shape.sealed.items()
    if not sealed:
        return
    names = [name for field, codec in sealed for name in codec.columns(field)]
    key = [shape.table.c[name] for name in shape.key]
    query = sa.select(*key, *(shape.table.c[name] for name in names))
    for row in connection.execute(query.execution_options(yield_per=BATCH)):
        values = row._mapping  # noqa: SLF001 the documented way to a row's columns
        for field, codec in sealed:
            problem = _seal(shape, field, codec, values, sealer)
            if problem:
                yield Finding(table=shape.name, row=_shown(row[: len(key)]), problem=problem)


def _seal(shape: Shape, field: str, codec: Sealed, row: Any, sealer: Sealer) -> str:
    """Say what is wrong with a sealed value; nothing when it opens and has the digest of what is in it."""
    sealed = row[f"{field}_sealed"]
    digest = row[f"{field}_digest"] if codec.is_found else None
    if sealed is None:
        return f"{field} has a digest and no value" if digest is not None else ""
    purpose = f"{shape.name}.{field}"
    context = CONTEXT_SEPARATOR.join([purpose, *(row[name] for name in shape.key)])
    try:
        plain = sealer.open(bytes(sealed), context.encode()).decode()
    except (MusterError, ValueError):
        return f"{field} does not open"
    if codec.is_found and (digest is None or bytes(digest) not in sealer.digests(purpose, plain)):
        return f"{field} is not found by its digest"
    return ""


# --- every tally is the count -------------------------------------------------------------------------


def _tallies(connection: sa.Connection, shape: Shape) -> Iterator[Finding]:
    tenant_id, of_status = tally_columns(shape)
    rows = sa.select(tenant_id.label("a"), of_status.label("b")).select_from(shape.table).subquery()
    count = sa.select(rows.c.a, rows.c.b, sa.func.count()).group_by(rows.c.a, rows.c.b)
    counted = Counter({(tenant, status): n for tenant, status, n in connection.execute(count)})
    kept: Counter[tuple[str, str]] = Counter()
    for table in (t.tallies, t.tally_deltas):
        of_kind = sa.select(table.c.tenant_id, table.c.status, table.c.n).where(table.c.kind == shape.name)
        for tenant, status, n in connection.execute(of_kind):
            kept[tenant, status] += n
    for tenant, status in {*counted, *kept}:
        if counted[tenant, status] != kept[tenant, status]:
            kind = f"{status} " if status else ""
            problem = f"the tally says {kept[tenant, status]} {kind}rows, there are {counted[tenant, status]}"
            yield Finding(table=shape.name, row=tenant, problem=problem)
