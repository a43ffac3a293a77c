"""What bulk work leaves behind: a CSV of what was made, and one of what was refused and why."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from muster.cli.rows import Item
from muster.client import Row

_MADE: Final = ("name", "id", "identity", "secret")


class MadeFile:
    """A CSV of what was made, with ids and secrets; it grows by the chunk; nobody else may read it (0600)."""

    def __init__(self, where: Path, *, keep: int) -> None:
        """Open it and keep its first *keep* bytes: what an interrupted run wrote for rows it had done."""
        self._out = os.fdopen(
            os.open(where, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8", newline=""
        )
        self._out.truncate(keep)
        self._out.seek(0, os.SEEK_END)
        self._writer = csv.writer(self._out)
        if not keep:
            self._writer.writerow(_MADE)

    def add(self, made: Sequence[Row]) -> int:
        """Write rows; give the bytes the file has now."""
        for row in made:
            credentials = row.get("credentials") or {}
            proof = (credentials.get("identity", ""), credentials.get("secret", ""))
            self._writer.writerow([row.get("name", ""), row["id"], *proof])
        self._out.flush()
        os.fsync(self._out.fileno())
        return self._out.tell()

    def close(self) -> None:
        """Close it."""
        self._out.close()


def write_refused(where: Path, refused: Sequence[tuple[Item, str]]) -> None:
    """Write the rows that were refused, with line and reason, to be corrected and sent again."""
    rows = [(_flat(item.body), item.line, reason) for item, reason in refused]
    columns = list(dict.fromkeys(["name", *(key for flat, _, _ in rows for key in flat)]))
    handle = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([*columns, "line", "reason"])
        writer.writerows(
            [*(flat.get(key, "") for key in columns), line, reason] for flat, line, reason in rows
        )


def _flat(body: Row) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in body.items():
        if key == "credentials":
            found |= {name: str(each) for name, each in value.items()}
        else:
            found["group" if key == "parent_group_id" else key] = _text(key, value)
    return found


def _text(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    return ";".join(value) if key == "tags" else json.dumps(value, ensure_ascii=False)
