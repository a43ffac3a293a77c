"""What a measurement says, and how it is written down."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured thing. *value* is a rate, or what *unit* says; p50 and p99 are milliseconds."""

    work: str
    database: str = ""
    value: float
    unit: str = "/s"
    p50: float | None = None
    p99: float | None = None
    memory: float | None = None
    """Resident MiB of the server and its broker when it was over."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is aimed at, and the limit that was measured for the same work with little around it."""

    goal: str = ""
    limit: str = ""
    is_met: Callable[[Row], bool] | None = None


def at_least(value: float, *, p99: float | None = None, p50: float | None = None) -> Callable[[Row], bool]:
    """Reach a rate and, if said, stay under a latency."""

    def reached(row: Row) -> bool:
        is_quick = (p99 is None or (row.p99 or 0) < p99) and (p50 is None or (row.p50 or 0) < p50)
        return row.value >= value and is_quick

    return reached


def below(value: float) -> Callable[[Row], bool]:
    """Stay under a value."""
    return lambda row: row.value < value


TARGETS: dict[str, Target] = {
    "POST /mapping, no certificate, 64 in flight": Target(
        goal="≥ 2,500/s, p99 < 50 ms",
        limit="4,200 to 5,700/s raw ASGI prototype, SQLite, one core",
        is_met=at_least(2500, p99=50),
    ),
    "POST /mapping, no certificate, one at a time": Target(
        goal="≥ 500/s, p50 < 2 ms",
        limit="640 to 1,500/s prototype; the disk: 255 to 4,707 durable commits/s",
        is_met=at_least(500, p50=2),
    ),
    "create one client, 64 in flight": Target(
        goal="≥ 4,000/s", limit="4,526/s Litestar + one insert", is_met=at_least(4000)
    ),
    "list of 10 clients": Target(
        goal="≥ 5,000/s", limit="7,507/s Litestar + one row by id", is_met=at_least(5000)
    ),
    "GET client by id": Target(limit="7,507/s Litestar + one row by id"),
    "bootstrap fetch": Target(
        goal="≥ 8,000/s", limit="12,400 to 14,300/s raw ASGI without a database", is_met=at_least(8000)
    ),
    "bulk: 100,000 clients in one request": Target(
        goal="< 8 s", limit="14,000 to 47,000 onboardings/s storage alone: 2 to 7 s", is_met=below(8)
    ),
    "bootstrap: time of an unknown id to that of a wrong key": Target(
        goal="0.95x to 1.05x", is_met=lambda row: 0.95 <= row.value <= 1.05
    ),
    "start to first answer, new data folder": Target(goal="< 2 s", is_met=below(2)),
    "start to first answer, again": Target(goal="< 2 s", is_met=below(2)),
    "idle memory, with broker": Target(goal="< 150 MiB", is_met=below(150)),
    "idle memory, without broker": Target(goal="< 120 MiB", is_met=below(120)),
    "MQTT connects through the callout": Target(
        goal="≥ 1,500/s a core", limit="1,858/s smallest Python callout", is_met=at_least(1500)
    ),
    "HTTP publish, 64 in flight": Target(
        goal="≥ 8,000/s", limit="12,138/s Litestar + one look-up", is_met=at_least(8000)
    ),
    "MQTT QoS 0, 1→1": Target(limit="516,000 to 838,000/s broker alone, C-like client"),
    "MQTT QoS 1, 1→1": Target(limit="60,000 to 63,000/s broker alone"),
    "rights change → session cut": Target(
        goal="p99 < 1 s, aim 50 ms", limit="p50 1.2 ms", is_met=lambda row: (row.p99 or 1e9) < 1000
    ),
    "memory of an idle MQTT session": Target(limit="45 KiB (QoS 0), 135 KiB (QoS 1) broker alone"),
    "10,000 devices return after a broker crash": Target(
        goal="all return by themselves", limit="5.4 s at 1,858 connects/s"
    ),
}
HONO: dict[str, Target] = {
    "Hono: first contacts by mTLS, 64 in flight": Target(goal="≥ 500/s", is_met=at_least(500)),
    "Hono: HTTP telemetry, QoS 0, 64 in flight": Target(limit="12,138/s Litestar + one look-up"),
}
PKI: dict[str, Target] = {
    "POST /mapping with EC certificate, 64 in flight": Target(
        goal="≥ 2,500/s, p99 < 50 ms", limit="11,255/s key and signature alone", is_met=at_least(2500, p99=50)
    ),
    "POST /mapping with EC certificate, one at a time": Target(
        goal="≥ 500/s, p50 < 2 ms", limit="11,255/s key and signature alone", is_met=at_least(500, p50=2)
    ),
    "OCSP answers, signed on demand": Target(
        goal="≥ 2,000/s", limit="26,231/s library alone", is_met=at_least(2000)
    ),
    "issue: EC P-256, key made here": Target(limit="11,255/s library alone"),
    "issue: for a signing request": Target(limit="5,469/s library alone"),
    "RSA-2048 keys from the pool": Target(limit="29/s library alone"),
    "CRL of 500,000 entries, from rows": Target(goal="< 5 s", is_met=below(5)),
    "MQTT connects by mTLS (P-256)": Target(limit="681/s callout and the broker's own TLS"),
}
GROWTH = Target(goal="< 1.5x the cost at 1,000", is_met=lambda row: row.value < 1.5)
HEAD = "| work | database | measured | p50 ms | p99 ms | RSS MiB | goal | met | limit | note |"


def table(rows: Iterable[Row]) -> list[str]:
    """Write rows as Markdown."""
    return [HEAD, "|---|---|---:|---:|---:|---:|---|---|---|---|", *map(_line, rows)]


def _line(row: Row) -> str:
    target = {**TARGETS, **HONO, **PKI}.get(row.work, GROWTH if row.unit == "x" else Target())
    met = "" if target.is_met is None else ("yes" if target.is_met(row) else "**no**")
    cells: Sequence[str] = (
        row.work,
        row.database,
        f"{_number(row.value)} {row.unit}".strip() if row.unit != "/s" else f"{_number(row.value)}/s",
        _number(row.p50),
        _number(row.p99),
        _number(row.memory),
        target.goal,
        met,
        target.limit,
        row.note,
    )
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
