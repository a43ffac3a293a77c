"""Every way to write the header Authorization is understood, and what is none of them is refused."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.ca.secrets import Keyring
from muster.ca.tokens import Tokens
from muster.core.access import KeySecret, UserToken
from muster.core.errors import Unauthenticated
from muster.core.model import Instant
from muster.web import auth
from muster.web.errors import MissingToken
from muster.web.request import Request
from tests.web.toys import SCOPE

NOW = 1_750_000_000
TOKENS = Tokens(Keyring(b"a master key of tests, 32 bytes at least"))
NORTH = {"iss": "supermq.auth", "iat": NOW, "exp": NOW + 3600, "type": 0, "user": "u1", "epoch": 3}
SOUTH = {
    "iss": "mainflux.auth",
    "iat": NOW,
    "exp": NOW + 3600,
    "type": 0,
    "issuer_id": "u1",
    "sub": "a@b.c",
    "epoch": 3,
}


def saying(header: bytes | None) -> Request:
    headers = [] if header is None else [(b"authorization", header)]
    return Request({**SCOPE, "headers": headers}, None, None)


def clock() -> Instant:
    return Instant(NOW * 1_000_000)


def evidence(header: str | None, **more):
    return auth.evidence(saying(None if header is None else header.encode()), TOKENS, clock, **more)


@pytest.mark.parametrize("claims", [NORTH, SOUTH])
@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer ", "BEARER   "])
def test_a_token_names_its_user(claims, scheme: str):
    """Raw or after Bearer, of either issuer."""
    assert evidence(scheme + TOKENS.mint(claims)) == UserToken(user_id="u1", epoch=3)


@pytest.mark.parametrize("secret", ["pat_abc", "mk_abc"])
@pytest.mark.parametrize("scheme", ["", "Bearer "])
def test_a_key_is_given_as_sent(secret: str, scheme: str):
    """Which of them is good is for the core to say."""
    assert evidence(scheme + secret) == KeySecret(secret)


@pytest.mark.parametrize(
    "header",
    [None, "", " ", "Bearer", "Bearer ", "bearer", "Basic abc", "Client abc", "Thing abc", "Digest a"],
)
def test_without_a_token_it_is_missing(header: str | None):
    """Absent, empty, or of a scheme that is not a user's."""
    with pytest.raises(MissingToken):
        evidence(header)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer a.b.c",
        "Bearer nonsense",
        "x" * 9000,
        "Bearer a b",
        "\x7f",
        "é",
        TOKENS.mint(NORTH)[:-2] + "AA",
    ],
)
def test_a_bad_token_is_not_authenticated(header: str):
    """Whatever it is, it is no fault of ours."""
    with pytest.raises(Unauthenticated) as caught:
        evidence(header)
    assert caught.type is not MissingToken


@pytest.mark.parametrize(
    "change",
    [{"type": 1}, {"type": 2}, {"user": None}, {"user": 7}, {"epoch": "3"}, {"exp": NOW}, {"type": "0"}],
)
def test_a_token_of_another_kind_is_not_authenticated(change):
    """A refresh token opens no door; a token without a user names nobody."""
    with pytest.raises(Unauthenticated):
        evidence(TOKENS.mint({**NORTH, **change}))


def test_a_handler_may_ask_for_another_kind():
    """Such as the refresh token where tokens are renewed; then an access token is refused."""
    refresh = TOKENS.mint({**NORTH, "type": 1})
    assert evidence(refresh, kinds={1}) == UserToken(user_id="u1", epoch=3)
    with pytest.raises(Unauthenticated):
        evidence(TOKENS.mint(NORTH), kinds={1})


def test_a_token_is_verified_once_a_minute():
    """And never after its expiry, however recently it was."""
    verified = []

    class Counting(Tokens):
        def verify(self, token, now):
            verified.append(now)
            return super().verify(token, now)

    remembered = auth.Remembered(Counting(Keyring(b"a master key of tests, 32 bytes at least")))
    token = remembered.mint({**NORTH, "exp": NOW + 90})
    for now in (NOW, NOW + 59, NOW + 60, NOW + 89):
        assert remembered.verify(token, now)["user"] == "u1"
    assert verified == [NOW, NOW + 60]
    with pytest.raises(Unauthenticated):
        remembered.verify(token, NOW + 90)


def test_only_so_many_tokens_are_remembered():
    """The memory of tokens does not grow without end, and a forgotten one is verified again."""
    remembered = auth.Remembered(TOKENS)
    tokens = [TOKENS.mint({**NORTH, "user": f"u{n}"}) for n in range(auth.Remembered.MOST + 10)]
    for token in tokens:
        remembered.verify(token, NOW)
    assert len(remembered._known) == auth.Remembered.MOST
    assert remembered.verify(tokens[0], NOW)["user"] == "u0"


# --- devices -------------------------------------------------------------------------------------------


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("k1", "k1"),
        ("Thing k1", "k1"),
        ("thing k1", "k1"),
        ("Client k1", "k1"),
        ("CLIENT  k1 ", "k1"),
        ("Client a b", "a b"),
        (basic("name:k1"), "k1"),
        (basic(":k1"), "k1"),
        (basic("name:k:1"), "k:1"),
        ("Client schlüssel", "schlüssel"),
        (None, None),
        ("", None),
        ("Client", None),
        ("Thing ", None),
        ("Bearer k1", None),
        ("Basic !!!", None),
        (basic("name"), None),
        (basic("name:"), None),
        ("Basic /w==", None),
    ],
)
def test_the_key_of_a_device_is_read(header: str | None, key: str | None):
    """Raw, after Thing or Client, or as the password of Basic; else there is none."""
    assert auth.device_key(saying(None if header is None else header.encode())) == key


def test_a_key_in_latin_1_is_read():
    """Headers have no charset of their own: what is no UTF-8 is Latin-1."""
    assert auth.device_key(saying(b"Client schl\xfcssel")) == "schlüssel"


@given(st.binary(max_size=60))
def test_no_header_breaks_the_reader(header: bytes):
    """Whatever the bytes are, there is a key or none, a caller or an error that names no fault of ours."""
    request = saying(header.replace(b"\0", b""))
    assert auth.device_key(request) is None or auth.device_key(request)
    with pytest.raises(Unauthenticated):
        auth.evidence(saying(b"Bearer " + header.replace(b"\0", b"").replace(b"_", b"")), TOKENS, clock)
