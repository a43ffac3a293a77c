"""The door finds what a request means, and whatever is wrong with it becomes a clear answer."""

import asyncio
import json
import uuid

import pytest

from muster.web.app import Limits
from tests.web.toys import NORTH_PORT, SOUTH_PORT, Door

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


def problem(answer):
    return answer.status_code, answer.json()["message"]


def posting(token):
    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {token}".encode())]
    return {"method": "POST", "raw_path": b"/t/notes", "headers": headers}


# --- paths and methods ---------------------------------------------------------------------------------


async def test_an_unknown_path_is_not_found(door: Door):
    """The body has the shape of the dialect that is meant where nothing else tells."""
    answer = await door("GET", "/nowhere/at/all/x")
    assert problem(answer) == (404, "NoRoute")


async def test_an_unknown_path_below_one_dialects_paths_is_answered_by_it(door: Door):
    """Only the south has paths under /things."""
    answer = await door("GET", "/things/1/2/3/4")
    assert (answer.status_code, answer.json()) == (404, {"error": "NoRoute"})


async def test_a_wrong_method_says_what_the_path_takes_in_all_dialects(door: Door):
    """GET is both dialects', DELETE only the south's: Allow has both, and what every path takes."""
    answer = await door("PUT", "/users/1")
    assert problem(answer) == (405, "WrongMethod")
    assert answer.headers["allow"] == "GET, HEAD, DELETE, OPTIONS"


async def test_options_says_what_the_path_takes(door: Door):
    """OPTIONS is answered for every path there is, without a body."""
    answer = await door("OPTIONS", "/t/notes/1")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, OPTIONS".replace("POST, ", "")


async def test_options_of_an_unknown_path_is_not_found(door: Door):
    """There is nothing to say about a path that does not exist."""
    assert (await door("OPTIONS", "/nowhere/at/all/x")).status_code == 404


async def test_head_answers_as_get_without_the_body(door: Door):
    """Status and headers are those of GET, Content-Length too."""
    got, head = await door("GET", "/things/7"), await door("HEAD", "/things/7")
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-type", "content-length"):
        assert head.headers[name] == got.headers[name]


async def test_an_unknown_method_is_a_wrong_method(door: Door):
    """A word that is no method is no reason to fail."""
    assert (await door("BREW", "/things/7")).status_code == 405


@pytest.mark.parametrize("path", ["/things/7", "/things/7/"])
async def test_a_slash_at_the_end_counts_for_nothing(door: Door, path: str):
    """Clients that add one are served."""
    assert (await door("GET", path)).json() == "7"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("a%2Fb", "a/b"),
        ("00:11:22:aa", "00:11:22:aa"),
        ("%C3%A9t%C3%A9", "été"),
        ("%41", "A"),
        ("a+b", "a+b"),
        ("..", ".."),
        ("%2E%2E%2F%2E%2E", "../.."),
    ],
)
async def test_ids_with_odd_characters_arrive_as_they_were_meant(door: Door, sent: str, meant: str):
    """An encoded slash stays in its segment; nothing is decoded twice."""
    scope = {"path": "/", "raw_path": f"/things/{sent}".encode()}
    sent_back = await door.raw(scope)
    assert sent_back[0]["status"] == 200
    assert sent_back[1]["body"].decode() == f'"{meant}"'


async def test_the_rest_of_a_path_is_one_value(door: Door):
    """External ids may hold slashes, sent plain or encoded; the literal neighbour still wins."""
    assert (await door("GET", "/fetch/a/b%2Fc")).json()["id"] == "a/b/c"
    assert (await door("GET", "/fetch/secure/a/b")).content == b"a/b"
    assert (await door("GET", "/fetch/secure")).json()["id"] == "secure"


@pytest.mark.parametrize("sent", ["%00", "a%00b", "%ff", "%C3%28", "%ED%A0%80"])
async def test_a_path_that_is_no_text_is_refused(door: Door, sent: str):
    """NUL, broken UTF-8 and lone surrogates are the caller's mistake, not a fault of ours."""
    answer = await door.raw({"raw_path": f"/things/{sent}".encode()})
    assert answer[0]["status"] == 400
    assert json.loads(answer[1]["body"]) == {"error": "BadPath"}, "things are of the south"


async def test_a_path_that_is_no_text_is_refused_by_the_dialect_that_knows_it(door: Door):
    """With words, in its own shape: all of the path but that one segment tells who was meant."""
    south, north = await door("GET", "/things/%00"), await door("GET", "/nowhere/%ff")
    assert (south.status_code, south.json()) == (400, {"error": "BadPath"})
    assert (north.status_code, north.json()) == (400, {"error": "invalid path", "message": "BadPath"})


async def test_variables_have_their_types(door: Door):
    """What does not fit its type is refused."""
    assert (await door("GET", "/odd/7?greeting=hi")).json() == [7, "hi", None, False]
    assert problem(await door("GET", "/odd/seven?greeting=hi")) == (400, "BadPath")


# --- query ---------------------------------------------------------------------------------------------


async def test_query_parameters_have_their_types(door: Door):
    """Lists take several values, others one."""
    answer = await door("GET", "/odd/7?greeting=a%20b&many=1&many=2&wanted=true")
    assert answer.json() == [7, "a b", [1, 2], True]


@pytest.mark.parametrize(
    "query", ["", "greeting=a&greeting=b", "greeting=a&many=x", "greeting=%00", "greeting=%ff"]
)
async def test_a_bad_query_is_refused(door: Door, query: str):
    """Missing, given twice, of another type, NUL, broken UTF-8."""
    assert problem(await door("GET", f"/odd/7?{query}")) == (400, "BadQuery")


# --- bodies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"name":1}',
        b'{"name":null}',
        b"{}",
        b'{"name":"a","other":1}',
        b'{"name":"\xff"}',
        b'{"name":"a\x00b"}',
        b'{"name":"\\u0000"}',
        b'{"name":"a","metadata":{"\\u0000":1}}',
        b'{"name":"\\ud800"}',
        b'{"name":"\\udc00 alone"}',
        b'{"name":"a","metadata":{"n":92233720368547758080}}',
        b'{"name":"a","size":9223372036854775808}',
        b'{"name":"a","metadata":{"n":1e999}}',
        b'{"name":"a","metadata":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
        b"[" * 100_000,
        b'{"name":' * 50_000,
        b"\xef\xbb\xbf{}",
    ],
)
async def test_a_bad_body_is_refused(door: Door, body: bytes):
    """Malformed, of wrong types, not storable or too deep: 400 in the dialect's shape, nothing done."""
    token = door.token(await door.user())
    answer = await door("POST", "/t/notes", f"Bearer {token}", content=body, headers=JSON)
    assert problem(answer) == (400, "BadBody")
    assert (await door("GET", "/t/notes", f"Bearer {token}")).json()["total"] == 0


async def test_of_equal_names_in_an_object_the_last_holds(door: Door):
    """RFC 8259 leaves it open; upstream takes the last too."""
    token = door.token(await door.user())
    body = b'{"name":"first","name":"last"}'
    answer = await door("POST", "/t/notes", f"Bearer {token}", content=body, headers=JSON)
    assert answer.json()["name"] == "last"


async def test_odd_but_right_text_survives(door: Door):
    """Text that only looks like a NUL, and every plane of Unicode, come back as sent."""
    token = door.token(await door.user())
    name = "a\\u0000b \U0001f600 \u200b \u202e \x7f 12345678901234567890"
    answer = await door("POST", "/t/notes", f"Bearer {token}", json={"name": name})
    assert (answer.status_code, answer.json()["name"]) == (201, name)


@pytest.mark.parametrize(
    ("method", "content_type", "status"),
    [
        ("POST", "application/json", 201),
        ("POST", "application/json; charset=utf-8", 201),
        ("POST", "Application/JSON", 201),
        ("POST", "text/plain", 415),
        ("POST", None, 415),
        ("PATCH", "application/json", 200),
        ("PATCH", "application/json; charset=utf-8", 415),
        ("PUT", "application/x-www-form-urlencoded", 200),
        ("PUT", None, 200),
    ],
)
async def test_the_content_type_is_what_the_handler_asks_for(
    door: Door, method: str, content_type: str | None, status: int
):
    """Containing JSON by default, exactly JSON, or any."""
    token = door.token(await door.user())
    path = "/t/notes" if method == "POST" else "/t/notes/1"
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await door(method, path, f"Bearer {token}", content=b'{"name":"a"}', headers=headers)
    assert answer.status_code == status


async def test_a_body_over_the_limit_is_too_large(sqlite_store, keyring, clock):
    """By what it announces, by what arrives, and although it announces less."""
    door = Door(sqlite_store, keyring, clock, limits=Limits(body=1000))
    answer = await door("POST", "/users", content=b"x" * 1001, headers=JSON)
    assert problem(answer) == (413, "TooLarge")
    post = posting(door.token(await door.user()))
    for parts in ([b"x" * 1001], [b"x" * 600, b"x" * 600], [b"x"] * 2000):
        assert (await door.raw(post, parts))[0]["status"] == 413


async def test_a_body_at_the_limit_is_taken(sqlite_store, keyring, clock):
    """The limit itself is allowed, in one part or many."""
    door = Door(sqlite_store, keyring, clock, limits=Limits(body=1000))
    post = posting(door.token(await door.user()))
    body = b'{"name":"' + b"x" * 989 + b'"}'
    for parts in ([body], [body[:400], body[400:], b""]):
        assert (await door.raw(post, parts))[0]["status"] == 201


async def test_a_body_without_a_reader_is_limited_too(sqlite_store, keyring, clock):
    """A handler that takes none does not make room for an endless one."""
    door = Door(sqlite_store, keyring, clock, limits=Limits(body=1000))
    answer = await door("GET", "/things/7", content=b"x" * 1001)
    assert answer.status_code == 413


async def test_a_body_that_does_not_arrive_is_given_up(sqlite_store, keyring, clock):
    """A client that stops in the middle does not hold the door for ever."""
    door = Door(sqlite_store, keyring, clock, limits=Limits(body=1000, body_seconds=0.05))
    post = posting(door.token(await door.user()))
    answer = await asyncio.wait_for(door.raw(post, [b"{"], stalls=True), 30)
    assert answer[0]["status"] == 400


async def test_a_request_that_a_stop_cuts_off_is_told_so(door: Door):
    """In the dialect's shape: whoever asked may ask again."""
    post = posting(door.token(await door.user()))
    waiting = asyncio.create_task(door.raw(post, [b"{"], stalls=True))
    await asyncio.sleep(0)
    waiting.cancel()
    assert (await waiting)[0]["status"] == 503


async def test_a_client_that_leaves_gets_nothing(door: Door):
    """Nothing is sent into the void, and the log says it left."""
    post = posting(door.token(await door.user()))
    assert await door.raw(post, []) == []
    assert door.lines()[-1]["status"] == 499


@pytest.mark.parametrize("length", ["-1", "abc", "9" * 30])
async def test_a_length_that_is_none_is_refused(door: Door, length: str):
    """A server lets none of these through; nor do we."""
    headers = [(b"content-length", length.encode())]
    answer = await door.raw({"method": "POST", "raw_path": b"/mapping", "headers": headers})
    assert answer[0]["status"] == 400


# --- who calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Bearer x.y.z", "Client k", "Bearer pat"])
async def test_whoever_nobody_knows_is_told_so_first(door: Door, header: str | None):
    """Before anything is said about the body, its type or the query; a large body is not even read."""
    asked = [
        ("POST", "/t/notes", {"content": b"{"}),
        ("POST", "/t/notes", {"content": b"x" * 9_000_000, "headers": JSON}),
        ("GET", "/t/notes?limit=0", {}),
        ("GET", "/t/notes/7", {}),
    ]
    for method, path, more in asked:
        assert (await door(method, path, header, **more)).status_code == 401


async def test_a_handler_may_take_another_kind_of_token_only(door: Door):
    """Such as a refresh token; an access token is none."""
    user = await door.user()
    renewed = await door("POST", "/renew", f"Bearer {door.token(user, type=1)}")
    assert (renewed.status_code, renewed.json()) == (201, user.id)
    assert (await door("POST", "/renew", f"Bearer {door.token(user)}")).status_code == 401


async def test_a_token_that_is_optional_must_still_be_good(door: Door):
    """None is fine, a bad one is not the same as none."""
    token = door.token(await door.user())
    assert (await door("GET", "/optional")).json() is False
    assert (await door("GET", "/optional", f"Bearer {token}")).json() is True
    assert (await door("GET", "/optional", "Bearer x.y.z")).status_code == 401


async def test_a_dependency_takes_what_handlers_take(door: Door):
    """And the dialect gives values by name."""
    assert (await door("GET", "/paged?limit=7")).json() == [7, 0, "given"]
    assert problem(await door("GET", "/paged?limit=x")) == (400, "BadQuery")


# --- which dialect -------------------------------------------------------------------------------------


async def test_the_port_tells_the_dialect(door: Door):
    """Before anything else: a Bearer token on a port of the south is the south's."""
    assert (await door("GET", "/users/1", "Bearer x", port=SOUTH_PORT)).json() == {"south": "1"}
    assert (await door("GET", "/users/1", "raw", port=NORTH_PORT)).json() == {"north": "1"}


async def test_a_path_of_one_dialect_only_is_answered_on_any_port(door: Door):
    """The port decides only what is shared."""
    assert (await door("GET", "/things/7", port=NORTH_PORT)).json() == "7"


async def test_the_call_that_minted_the_token_tells_the_dialect(door: Door):
    """A token of the south means the south, even after Bearer; and the other way round."""
    user = await door.user()
    south, north = door.token(user, "mainflux.auth"), door.token(user)
    assert (await door("GET", "/users/1", f"Bearer {south}")).json() == {"south": "1"}
    assert (await door("GET", "/users/1", north)).json() == {"north": "1"}


@pytest.mark.parametrize(
    ("header", "dialect"),
    [("Bearer k", "north"), ("Client k", "north"), ("k", "south"), ("thing k", "south"), (None, "north")],
)
async def test_the_scheme_tells_the_dialect(door: Door, header: str | None, dialect: str):
    """When neither port nor token do; without any sign it is the first."""
    assert (await door("GET", "/users/1", header)).json() == {dialect: "1"}


@pytest.mark.parametrize("unmarked", ["north", "south"])
async def test_a_mapping_without_a_header_is_the_configured_dialects(
    sqlite_store, keyring, clock, unmarked: str
):
    """With a header it is the header's."""
    door = Door(sqlite_store, keyring, clock, unmarked=unmarked)
    assert (await door("POST", "/mapping")).json() == unmarked
    assert (await door("POST", "/mapping", "Bearer x")).json() == "north"
    assert (await door("POST", "/mapping", "x")).json() == "south"


@pytest.mark.parametrize("header", [None, "Bearer x", "raw"])
async def test_the_shape_of_the_body_tells_the_dialect(door: Door, header: str | None):
    """For the routes where a dialect says so, the body's names count more than the header."""
    answer = await door("POST", "/users", header, json={"email": "a@b.c"})
    assert (answer.status_code, answer.json()) == (201, "south a@b.c")
    answer = await door("POST", "/users", header, json={"first_name": uuid.uuid4().hex})
    assert answer.status_code == 201


async def test_a_shapeless_body_is_refused_by_the_likeliest_dialect(door: Door):
    """The scheme tells whose error it is; without one it is the first dialect's."""
    assert problem(await door("POST", "/users", content=b"{", headers=JSON)) == (400, "BadBody")
    answer = await door("POST", "/users", "raw", content=b"[1]", headers=JSON)
    assert (answer.status_code, answer.json()) == (400, {"error": "BadBody"})


async def test_a_body_too_large_is_refused_in_the_likeliest_dialects_shape(sqlite_store, keyring, clock):
    """Even where the body would have told."""
    door = Door(sqlite_store, keyring, clock, limits=Limits(body=10))
    answer = await door("POST", "/users", "raw", content=b"x" * 11, headers=JSON)
    assert (answer.status_code, answer.json()) == (413, {"error": "TooLarge"})


# --- answers -------------------------------------------------------------------------------------------


async def test_a_json_answer_ends_as_the_dialect_wants(door: Door):
    """North ends its lines, errors too; south does not."""
    assert (await door("GET", "/users/1", "Bearer x")).content.endswith(b"}\n")
    assert (await door("GET", "/nowhere/at/all/x")).content.endswith(b"}\n")
    assert (await door("GET", "/users/1", "x")).content.endswith(b"}")


async def test_nothing_in_a_header_can_break_the_line(door: Door):
    """Whatever a handler puts there is percent-encoded where it is not printable ASCII."""
    answer = await door("GET", "/headers?to=%0D%0ASet-Cookie:%20a%C3%A9")
    assert answer.headers["location"] == "%0D%0ASet-Cookie: a%C3%A9"
    assert "set-cookie" not in answer.headers


async def test_too_many_attempts_say_when_to_come_back(door: Door):
    """As RFC 6585, 4, asks, whether the dialect thought of it or not."""
    answer = await door("GET", "/throttled")
    assert problem(answer) == (429, "TooMany")
    assert answer.headers["retry-after"] == "17"


async def test_an_unauthenticated_answer_says_how_to_authenticate(door: Door):
    """As RFC 9110, 15.5.2, asks."""
    answer = await door("GET", "/t/notes")
    assert problem(answer) == (401, "MissingToken")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("sent", ["abc-1.2:3/4=", "x" * 64])
async def test_a_sane_request_id_is_kept(door: Door, sent: str):
    """The reply and the log carry it."""
    answer = await door("GET", "/things/7", headers={"X-Request-Id": sent})
    assert answer.headers["x-request-id"] == sent
    assert door.lines()[-1]["request_id"] == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 65, "a b", "<script>", "é"])
async def test_any_other_request_gets_an_id_of_its_own(door: Door, sent: str | None):
    """Two never get the same."""
    headers = [] if sent is None else [(b"x-request-id", sent.encode())]
    answers = [await door.raw({"raw_path": b"/things/7", "headers": headers}) for _ in range(2)]
    ids = [dict(answer[0]["headers"])[b"x-request-id"] for answer in answers]
    assert ids[0] != ids[1]
    assert all(len(one) == 16 for one in ids)


async def test_an_unexpected_error_is_opaque(door: Door):
    """The caller learns nothing; the log says where and of what kind, and repeats no text of it."""
    token = door.token(await door.user())
    answer = await door("POST", "/t/notes", f"Bearer {token}", json={"name": "secret-in-error"})
    assert (answer.status_code, answer.json()) == (500, {"error": "", "message": "Broken"})
    line = next(line for line in door.lines() if line["event"] == "unexpected error")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["error"] == ["builtins.RuntimeError"]
    assert line["where"][-1].endswith("add_note")
    assert b"hunter2" not in door.written.getvalue()


async def test_an_answer_that_cannot_be_written_leaves_nothing(door: Door):
    """The answer is made before the commit."""
    token = door.token(await door.user())
    assert (await door("POST", "/t/notes/broken", f"Bearer {token}")).status_code == 500
    assert (await door("GET", "/t/notes", f"Bearer {token}")).json()["total"] == 0


async def test_a_websocket_is_declined(door: Door):
    """The door speaks HTTP; whoever asks for more is told no."""
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    await door.app({"type": "websocket"}, receive, send)
    assert sent == ["websocket.close"]
