"""A copy of the database in one file, taken while the server runs, and the way back."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from muster.core import errors
from muster.store.location import File, Server, locate
from muster.store.sqlite import claim


def backup(url: str, path: Path) -> None:
    """Write the database as it is now to a new file: a SQLite database, or what PostgreSQL's pg_dump makes.

    Only its owner may read it. Conflict when the file exists, NotFound when its folder does not,
    Unavailable when the database or pg_dump is not to be had.
    """
    if path.exists():
        raise errors.Conflict(f"{path} exists already")
    if not path.parent.is_dir():
        raise errors.NotFound(f"the folder {path.parent} does not exist")
    place = locate(url)
    if isinstance(place, File) and not place.path.exists():
        raise errors.NotFound(
            f"there is no database file {place.path}: does MUSTER_DATA_DIR name its folder?"
        )
    partial = path.with_name(f"{path.name}.partial")
    with _discarded(partial):
        os.close(
            os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        )  # it holds what is not sealed, too
        if isinstance(place, File):
            _copy(place.path, partial)
        else:
            _run("pg_dump", place, "--format=custom", f"--file={partial}")
        _sync(partial)
        partial.replace(path)


def restore(url: str, path: Path) -> None:
    """Put a copy in the place of what the database holds; all of it or nothing.

    NotFound without the file, Malformed when it is no copy of a Muster. On SQLite no server may run.
    """
    if not path.is_file():
        raise errors.NotFound(f"{path} does not exist")
    place = locate(url)
    if isinstance(place, Server):
        _run("pg_restore", place, "--clean", "--if-exists", "--no-owner", "--single-transaction", str(path))
        return
    partial = place.path.with_name(f"{place.path.name}.partial")
    with claim(place.path), _discarded(partial):
        _copy(path, partial)
        _sync(partial)
        for suffix in ("-wal", "-shm"):
            place.path.with_name(f"{place.path.name}{suffix}").unlink(missing_ok=True)
        partial.replace(place.path)


@contextlib.contextmanager
def _discarded(partial: Path) -> Iterator[None]:
    """Leave nothing half-written behind."""
    partial.unlink(missing_ok=True)
    try:
        yield
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a SQLite database, whatever is written to it meanwhile."""
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as read,
            contextlib.closing(sqlite3.connect(target)) as written,
        ):
            read.execute("SELECT version_num FROM alembic_version").fetchone()
            read.backup(written)
            (said,) = written.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise errors.Malformed(f"{source} is not a database of Muster") from None
        raise errors.Unavailable(f"{source} cannot be copied: {error}") from None
    except sqlite3.DatabaseError:
        raise errors.Malformed(f"{source} is not a database of Muster") from None
    if said != "ok":
        raise errors.Malformed(f"{source} is damaged: {said}")


def _sync(path: Path) -> None:
    """Have the disk keep the file before its name says that it is complete."""
    for one in (path, path.parent):
        handle = os.open(one, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def _run(program: str, server: Server, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise errors.Unavailable(f"{program} is not installed; it comes with PostgreSQL's client programs")
    url = make_url(server.conninfo)
    # The password goes through the environment: everybody may read a program's arguments.
    environment = os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {})
    target = url.set(password=None).render_as_string(hide_password=False)
    done = subprocess.run(  # noqa: S603 found on the PATH, arguments are ours
        [found, f"--dbname={target}", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise errors.Unavailable(f"{program} failed: {done.stderr.strip()}")
