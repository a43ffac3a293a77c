"""Single facts of a live database, for the owner of its machine; reads only, whatever runs on it."""

from dataclasses import dataclass

import sqlalchemy as sa

from muster.store import tables as t
from muster.store.location import File, locate
from muster.store.upkeep import snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundUser:
    """As much of a user as a recovery token says."""

    id: str
    username: str
    epoch: int
    is_enabled: bool


def find_user(url: str, name: str) -> FoundUser | None:
    """Find a user by username or e-mail address. Unavailable when the database does not answer."""
    columns = t.users.c
    query = sa.select(columns.id, columns.username, columns.epoch, columns.status).where(
        sa.or_(columns.username == name, sa.func.lower(columns.email) == name.lower())
    )
    with snapshot(url) as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    return FoundUser(id=row.id, username=row.username, epoch=row.epoch, is_enabled=row.status == "enabled")


def is_used(url: str) -> bool:
    """Say whether there is a user, as after any start. Unavailable when the database does not answer."""
    place = locate(url)
    if isinstance(place, File) and not place.path.exists():
        return False  # connecting would make it
    with snapshot(url) as connection:
        if not sa.inspect(connection).has_table(t.users.name):
            return False
        return connection.execute(sa.select(t.users.c.id).limit(1)).first() is not None
