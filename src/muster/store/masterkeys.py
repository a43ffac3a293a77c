"""Which master keys sealed what is here, and the hash keys of those that are gone."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import sqlalchemy as sa

from muster.core.errors import Unavailable
from muster.core.keyholders import Sealer
from muster.core.model import Instant, MasterKey, Secret
from muster.store.nouns import SHAPES
from muster.store.rows import Seals
from muster.store.tables import master_keys
from muster.store.upkeep import connected, snapshot


class Ring(Sealer, Protocol):
    """Master keys, newest first, as a change of the newest needs them."""

    @property
    def hash_keys(self) -> Mapping[str, bytes]:
        """The keys of the digests, by the id of their master key."""

    def is_current(self, sealed: bytes) -> bool:
        """Say whether the newest key sealed it."""

    def key_id(self, sealed: bytes) -> str:
        """Give the id of the master key that sealed it."""


def former(url: str, ring: Ring) -> dict[str, bytes]:
    """Give the hash keys of the master keys that are not in the ring. Unavailable when one does not open."""
    shape, seals = SHAPES[MasterKey], Seals(ring)
    query = sa.select(*(shape.table.c[name] for name in shape.columns)).where(
        shape.table.c.id.not_in(ring.key_ids)
    )
    with snapshot(url) as connection:
        kept = [shape.decode(tuple(row), seals) for row in connection.execute(query)]
    return {one.id: b64decode(one.hash_key.reveal()) for one in kept}


def admit(url: str, ring: Ring, now: Instant, *, every: bool = False) -> None:
    """Note that from now on the newest key of the ring, or *every* one, may have sealed what is here.

    Where nothing was noted yet each of them may. A key that is only there to open is not needed for that.

    Unavailable when a key is missing that something is, or may be, still sealed with.
    """
    with connected(url) as connection:
        rows = connection.execute(sa.select(master_keys.c.id, master_keys.c.retired_at)).all()
        known = {row.id: row.retired_at for row in rows}
        connection.commit()
        missing = [id_ for id_, retired_at in known.items() if not retired_at and id_ not in ring.key_ids]
        if missing:
            raise Unavailable(
                f"the database is sealed with another master key than what is given: {', '.join(missing)} "
                "is missing, which must stay in the list until `muster db rekey` says that it may go"
            )
        for id_ in ring.key_ids if every or not known else ring.key_ids[:1]:
            if id_ not in known:
                _note(connection, ring, id_, now)
        if known.get(ring.key_ids[0]):  # it came back
            connection.execute(sa.update(master_keys).where(_is(ring.key_ids[0])).values(retired_at=0))
            connection.commit()


def retire(connection: sa.Connection, newest: str, now: Instant) -> tuple[str, ...]:
    """Note that nothing is sealed with any key but the newest; give the ids of all others."""
    table = master_keys
    others = table.c.id != newest
    connection.execute(sa.update(table).where(others, table.c.retired_at == 0).values(retired_at=now))
    retired = connection.execute(sa.select(table.c.id).where(others).order_by(table.c.created_at)).scalars()
    ids = tuple(retired)
    connection.commit()
    return ids


def _note(connection: sa.Connection, ring: Ring, id_: str, now: Instant) -> None:
    shape = SHAPES[MasterKey]
    made = MasterKey(id=id_, hash_key=Secret(b64encode(ring.hash_keys[id_]).decode()), created_at=now)
    row = dict(zip(shape.written, shape.encode(made, Seals(ring)), strict=True))
    with suppress(sa.exc.IntegrityError):  # another process of the installation was faster
        connection.execute(sa.insert(master_keys).values(row))
    connection.commit()


def _is(id_: str) -> sa.ColumnElement[bool]:
    return master_keys.c.id == id_
