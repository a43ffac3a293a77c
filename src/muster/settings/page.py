"""Writes docs/settings.md from the settings: `python -m muster.settings.page > docs/settings.md`."""

import sys
from collections.abc import Iterable, Iterator
from typing import Final

from muster.settings import spellings
from muster.settings.reading import FIELDS, UPSTREAM_PREFIXES, Field
from muster.settings.values import write

HEAD: Final = """\
<!-- Written by `python -m muster.settings.page`; change src/muster/settings/model.py instead. -->
# Settings

Nothing has to be set: `make run` works without any of this. Every setting has one name, the one in the tables
below. What says something about it, the one that counts most first:

| who says it | how | example |
| --- | --- | --- |
| an option of the command, where it has one | `--` and the name | `muster serve --workers 4` |
| the environment | `MUSTER_` and the name in capitals | `MUSTER_HTTP=0.0.0.0:8080` |
| a TOML file named by `--config` or `MUSTER_CONFIG` | the name, outside any table | `http = "0.0.0.0:8080"` |
| upstream's, where the table has one | `MG_`, `SMQ_`, `MF_` | `MG_AUTH_ACCESS_TOKEN_DURATION=1h` |
| nobody | the default | |

A secret can also come from a file that `MUSTER_…_FILE` names, such as `MUSTER_ADMIN_PASSWORD_FILE`. An empty
variable says nothing, except for a port: there it means off. Durations are written `90s`, `1h30m` or `7d`,
sizes `65536`, `64KiB` or `1MiB`, addresses `host:port` or `[::1]:8080`.

Muster does not start with a setting that is wrong or unknown. It names all of them at once, each with its
variable, or its file and line, and the reason. `muster config` shows every value and where it came from,
secrets hidden.
"""

PROVISION: Final = """\
## The provision service's own settings

What upstream's provision service reads, Muster reads too, in every spelling that service ever had: variables
that begin with `MG_PROVISION_`, `SMQ_PROVISION_` or `MF_PROVISION_` (the first counts most), and its file
`config.toml`. A value in the file counts before the environment; a boolean in the file can also be false.

| means | variable, after the prefix | in the file |
| --- | --- | --- |
"""

LAYOUT: Final = """
Keys of `[server]` begin with `mg_`, `smq_` or `mf_`; `[cert]` and `[certs]` are the same table.

The layout, what one `POST /mapping` makes, is listed in the file as `[[clients]]` (or `[[things]]`) and
`[[channels]]`, each with `name` and a table `metadata`; without them it is one device and the channels
`control-channel` and `data-channel`. The first device whose metadata has `external_id` gets the bootstrap
configuration. The table, else the prefix, also decides in whose words a `/mapping` without any header is
answered: `[[things]]`, `mf_` and `MF_` in Mainflux's, all others in Magistrala's.

Accepted and ignored, with a line at start: the addresses of services that Muster is itself, and what only
concerned that service's own process. What Muster cannot honour, or would lose, stops the start: unknown keys,
`[client.metadata]` in the singular, a TLS certificate (set `MUSTER_HTTPS` and `MUSTER_TLS_CERTIFICATE`),
bootstrap profiles, whitelisting without provisioning of bootstrap configurations, a user without a password.
"""


def page() -> str:
    """Give the whole page."""
    return "\n".join([HEAD, *_sections(), PROVISION + "\n".join(_spellings()), LAYOUT])


def _sections() -> Iterator[str]:
    for title, fields in _grouped():
        rows = [_row(field) for field in fields]
        yield "\n".join(
            [f"## {title}", "", "| name | default | what it decides |", "| --- | --- | --- |", *rows, ""]
        )


def _grouped() -> Iterable[tuple[str, list[Field]]]:
    groups: dict[str, list[Field]] = {}
    for field in FIELDS:
        if field.opens:
            groups[field.opens] = []
        groups[list(groups)[-1]].append(field)
    return groups.items()


def _row(field: Field) -> str:
    default = write(field.default)
    upstream = (
        f" Upstream: `…{field.upstream[0].removeprefix(UPSTREAM_PREFIXES[0])}`." if field.upstream else ""
    )
    return f"| `{field.name}` | {f'`{default}`' if default else ''} | {field.meta.description}{upstream} |"


def _spellings() -> Iterator[str]:
    for meaning in dict.fromkeys(spellings.VARIABLES.values()) | {"key_type": None}:
        variables = [name for name, each in spellings.VARIABLES.items() if each == meaning]
        keys = [f"bootstrap.{key}" for key, each in spellings.BOOTSTRAP.items() if each == meaning]
        keys += [f"server.mg_{key}" for key, each in spellings.SERVER.items() if each == meaning]
        keys += [f"certs.{key}" for key, each in spellings.CERTIFICATES.items() if each == meaning]
        yield f"| {meaning} | {_codes(variables)} | {_codes(keys)} |"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(page())
