"""A path means what the most literal route says that takes the method, and no route hides another."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.web.errors import BadPath
from muster.web.routes import Routes, guess, split


@dataclass(frozen=True)
class Route:
    template: str
    method: str = "GET"
    dialect: str = "a"

    @property
    def segments(self):
        return tuple(None if part.startswith("{") else part for part in self.template.split("/")[1:])

    @property
    def takes_rest(self):
        return self.template.endswith(":path}")


def paths_of(*templates):
    return Routes([Route(template) for template in templates])


UPSTREAM = (
    "/clients/{id}/channels",
    "/clients/bootstrap/{ext:path}",
    "/clients/bootstrap/secure/{ext:path}",
    "/{tenant}/clients",
    "/{tenant}/clients/configs",
    "/{tenant}/clients/configs/{id}",
    "/{tenant}/clients/configs/certs/{id}",
    "/{tenant}/clients/{id}",
    "/{tenant}/clients/{id}/channels",
    "/{tenant}/clients/{id}/roles/{role}",
    "/{tenant}/channels/{id}/connect",
    "/{tenant}/channels/connect",
    "/things/{id}",
    "/things/configs",
    "/v1/devices/{tenant}/{id}",
    "/users/{id}",
    "/users/profile",
)


@pytest.mark.parametrize(
    ("path", "template", "values"),
    [
        ("/clients/7/channels", "/clients/{id}/channels", ["7"]),
        ("/clients/bootstrap/channels", "/clients/bootstrap/{ext:path}", ["channels"]),
        ("/clients/bootstrap/a/b/c", "/clients/bootstrap/{ext:path}", ["a/b/c"]),
        ("/clients/bootstrap/secure/a", "/clients/bootstrap/secure/{ext:path}", ["a"]),
        ("/clients/bootstrap/secure", "/clients/bootstrap/{ext:path}", ["secure"]),
        ("/clients/clients", "/{tenant}/clients", ["clients"]),
        ("/clients/clients/7", "/{tenant}/clients/{id}", ["clients", "7"]),
        ("/d/clients/configs", "/{tenant}/clients/configs", ["d"]),
        ("/d/clients/configs/channels", "/{tenant}/clients/configs/{id}", ["d", "channels"]),
        ("/d/clients/configs/certs", "/{tenant}/clients/configs/{id}", ["d", "certs"]),
        ("/d/clients/configs/certs/7", "/{tenant}/clients/configs/certs/{id}", ["d", "7"]),
        ("/d/clients/configs/roles/7", "/{tenant}/clients/{id}/roles/{role}", ["d", "configs", "7"]),
        ("/d/channels/connect", "/{tenant}/channels/connect", ["d"]),
        ("/d/channels/connect/connect", "/{tenant}/channels/{id}/connect", ["d", "connect"]),
        ("/things/clients", "/things/{id}", ["clients"]),
        ("/things/configs", "/things/configs", []),
        ("/things/clients/7", "/{tenant}/clients/{id}", ["things", "7"]),
        ("/v1/clients/configs", "/{tenant}/clients/configs", ["v1"]),
        ("/v1/devices/d/7", "/v1/devices/{tenant}/{id}", ["d", "7"]),
        ("/users/profile", "/users/profile", []),
        ("/users/profiles", "/users/{id}", ["profiles"]),
        ("/users/clients", "/users/{id}", ["clients"]),
    ],
)
def test_literal_segments_win_and_none_is_a_dead_end(path: str, template: str, values: list[str]):
    """The collisions of spec A.12, all routes laid out together."""
    routes = paths_of(*UPSTREAM)
    target, found = routes.find("GET", split(path.encode())).targets["a"]
    assert (target.template, found) == (template, values)


@pytest.mark.parametrize("path", ["/", "/d", "/d//clients", "//clients", "/d/clients/", "/d/clients/7/x"])
def test_an_empty_segment_is_no_value(path: str):
    """Only the slash at the end counts for nothing."""
    found = paths_of("/{tenant}/clients/{id}").find("GET", split(path.encode()))
    assert not found.targets


def test_the_most_literal_route_is_the_resource():
    """A method it does not take is not taken from a less literal one: the path means one thing (OpenAPI)."""
    routes = Routes([Route("/{d}/clients/bulk", "POST"), Route("/{d}/clients/{id}", "GET")])
    found = routes.find("GET", ["d", "clients", "bulk"])
    assert (found.targets, found.allow) == ({}, ("POST", "OPTIONS"))
    assert routes.find("POST", ["d", "clients", "7"]).allow == ("GET", "HEAD", "OPTIONS")


def test_what_is_literal_in_one_dialect_hides_nothing_of_another():
    """Allow has the methods of both."""
    routes = Routes([Route("/users/search", "POST"), Route("/users/{id}", "GET", "b")])
    found = routes.find("GET", ["users", "search"])
    assert [*found.targets] == ["b"]
    assert found.allow == ("GET", "HEAD", "POST", "OPTIONS")


def test_each_dialect_is_found_by_its_own_best_route():
    """A literal of one dialect does not hide a variable of another: the choice is not made here."""
    routes = Routes([Route("/users/search"), Route("/users/{id}", dialect="b")])
    assert routes.one("GET", ["users", "search"]) is None
    targets = routes.find("GET", ["users", "search"]).targets
    assert {name: values for name, (_, values) in targets.items()} == {"a": [], "b": ["search"]}
    assert routes.one("GET", ["users", "7"]) is None


def test_two_equal_routes_of_a_dialect_are_refused():
    """Which one would answer must never depend on an order of import."""
    with pytest.raises(ValueError, match="two routes"):
        Routes([Route("/users/{id}"), Route("/users/{name}")])


def test_the_owner_of_a_first_segment_is_known():
    """Where two dialects have paths below it, nobody owns it."""
    routes = Routes([Route("/things/{id}"), Route("/users"), Route("/users/{id}", dialect="b")])
    assert [routes.head([s]) for s in ("things", "users", "other")] == ["a", None, None]
    assert routes.head([]) is None


@pytest.mark.parametrize(
    ("sent", "segments"),
    [
        (b"/", []),
        (b"/a", ["a"]),
        (b"/a/", ["a"]),
        (b"/a//", ["a", ""]),
        (b"/a%2Fb/c", ["a/b", "c"]),
        (b"/%C3%A9", ["é"]),
        ("/é".encode(), ["é"]),
        (b"/%2525", ["%25"]),
        (b"/%zz", ["%zz"]),
    ],
)
def test_a_path_is_split_before_it_is_decoded(sent: bytes, segments: list[str]):
    """So that an encoded slash stays where it was."""
    assert split(sent) == segments


@pytest.mark.parametrize("sent", [b"/a%00", b"/a\0", b"/%ff", b"/\xff"])
def test_a_path_that_is_no_text_is_refused(sent: bytes):
    """NUL and broken UTF-8; guessed, it shows at least where it leads."""
    with pytest.raises(BadPath):
        split(sent)
    assert len(guess(sent)) == 1


# --- against the plainest way to do it -----------------------------------------------------------------

PART = st.sampled_from(["x", "y", "{v}"])
TEMPLATES = st.builds(
    lambda parts, has_rest: "/" + "/".join([*parts, *(["{r:path}"] if has_rest else [])]),
    st.lists(PART, min_size=1, max_size=3),
    st.booleans(),
)
ROUTES = st.lists(
    st.builds(Route, TEMPLATES, st.sampled_from(["GET", "POST"]), st.sampled_from(["a", "b"])),
    max_size=8,
    unique_by=lambda route: (route.segments, route.takes_rest, route.method, route.dialect),
)


def matches(route, segments):
    """Give the values and how literal the match is, or None."""
    wanted = route.segments
    if route.takes_rest:
        if len(segments) < len(wanted):
            return None
        segments = [*segments[: len(wanted) - 1], "/".join(segments[len(wanted) - 1 :])]
    if len(segments) != len(wanted):
        return None
    values, rank = [], []
    for index, (segment, part) in enumerate(zip(segments, wanted, strict=True)):
        is_rest = route.takes_rest and index == len(wanted) - 1
        if part is None:
            values.append(segment)
        elif part != segment:
            return None
        rank.append(2 if is_rest else int(part is None))
    return rank, values


@given(ROUTES, st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=5))
def test_it_finds_what_trying_every_route_finds(routes, segments):
    """The tree and its short cut give the same as trying all routes, most literal first."""
    laid_out = Routes(routes)
    best = {}
    for route in routes:
        fit = matches(route, segments)
        if fit and fit[0] <= best.get(route.dialect, fit)[0]:
            best[route.dialect] = fit
    resources = [r for r in routes if r.dialect in best and matches(r, segments) == best[r.dialect]]
    for method in ("GET", "POST"):
        expected = {r.dialect: (r, best[r.dialect][1]) for r in resources if r.method == method}
        found = laid_out.find(method, segments)
        assert found.targets == expected
        assert {*found.allow} - {"HEAD", "OPTIONS"} == {r.method for r in resources}
        assert found.dialects == best.keys()
        one = laid_out.one(method, segments)
        assert one is None or [one] == list(expected.values())
