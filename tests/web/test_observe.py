"""Each request leaves one line and one measurement, and no secret."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.web.toys import Door

pytestmark = pytest.mark.anyio


async def samples(door: Door, name: str) -> dict[tuple[str, ...], float]:
    text = (await door("GET", "/metrics")).text
    return {
        tuple(sample.labels[label] for label in ("dialect", "method", "route") if label in sample.labels)
        + ((sample.labels["status"],) if "status" in sample.labels else ()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def test_a_request_leaves_one_line(door: Door):
    """With the template of the path, the dialect, the status, how long it took, the id and the source."""
    answer = await door("GET", "/users/some-id?q=1", "Bearer x")
    (line,) = door.lines()
    assert line.pop("ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "route": "/users/{user}",
        "status": 200,
        "caller": "",
        "tenant": "",
        "dialect": "north",
        "request_id": answer.headers["x-request-id"],
        "source": "127.0.0.1",
    }


async def test_no_secret_comes_into_the_log(door: Door):
    """Neither the path, which may hold one, nor the query, nor a header, nor the body."""
    token = door.token(await door.user())
    headers = {"Idempotency-Key": "hunter2", "X-Other": "hunter2"}
    await door("GET", "/fetch/hunter2?key=hunter2", "Client hunter2", headers=headers)
    await door("POST", "/t/notes", f"Bearer {token}", json={"name": "hunter2", "other": "hunter2"})
    await door("POST", "/t/notes", f"Bearer {token}", json={"name": "hunter2"}, headers=headers)
    await door("GET", "/hunter2/hunter2/hunter2/hunter2")
    assert len(door.lines()) == 4
    assert b"hunter2" not in door.written.getvalue()
    assert token.encode() not in door.written.getvalue()


async def test_requests_are_counted_by_dialect_route_and_status(door: Door):
    """What nobody serves is counted together, so that no caller can make new series."""
    await door("GET", "/users/1", "Bearer x")
    await door("GET", "/users/2", "Bearer x")
    await door("GET", "/users/1", "x")
    for path in ("/no/1/2/3", "/no/2/3/4"):
        await door("GET", path)
    for method in ("BREW", "GRIND"):
        await door(method, "/users/1")
    counted = await samples(door, "muster_http_requests_total")
    assert counted == {
        ("north", "GET", "/users/{user}", "200"): 2,
        ("south", "GET", "/users/{id}", "200"): 1,
        ("north", "GET", "", "404"): 2,
        ("north", "OTHER", "", "405"): 2,
    }


async def test_latency_is_measured_by_route(door: Door):
    """As a histogram."""
    await door("GET", "/users/1", "Bearer x")
    counted = await samples(door, "muster_http_request_seconds_count")
    assert counted == {("north", "GET", "/users/{user}"): 1}


async def test_metrics_are_prometheus_text(door: Door):
    """With the content type Prometheus asks for."""
    answer = await door("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
