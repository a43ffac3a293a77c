"""A token is ours, of its issuer's algorithm, in its time; or it is nothing."""

import hmac
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.ca.secrets import Keyring
from muster.ca.tokens import ISSUERS, SKEW, TokenExpired, TokenRefused, Tokens

OLD, NEW = bytes(range(32)), bytes(range(100, 140))
RING = Keyring(NEW)
TOKENS = Tokens(RING)
NOW = 1_700_000_000
CLAIMS = {"exp": NOW + 3600, "iat": NOW, "iss": "supermq.auth", "type": 0, "user": "4f"}
LEGACY = {**CLAIMS, "iss": "mainflux.auth", "sub": "a@b.c", "issuer_id": "4f"}


def part(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def forge(header, claims, key, function="sha512"):
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(key, signed.encode(), function))}"


def key_of(algorithm):
    return RING.token_keys(algorithm, {"HS512": 64, "HS256": 32}[algorithm])[0]


@pytest.mark.parametrize(("claims", "algorithm"), [(CLAIMS, "HS512"), (LEGACY, "HS256")])
def test_a_token_carries_its_claims(claims, algorithm):
    """Each issuer signs with its own algorithm, and user interfaces can decode the three parts."""
    token = TOKENS.mint(claims)
    header, payload, _ = token.split(".")
    assert json.loads(urlsafe_b64decode(header + "==")) == {"alg": algorithm, "typ": "JWT"}
    assert json.loads(urlsafe_b64decode(payload + "==")) == claims
    assert TOKENS.verify(token, NOW) == claims


def test_a_forged_token_with_our_own_key_would_pass():
    """The forgeries below fail for the reason they name, not because forge is wrong."""
    assert TOKENS.verify(forge({"alg": "HS512", "typ": "JWT"}, CLAIMS, key_of("HS512")), NOW) == CLAIMS
    assert TOKENS.verify(forge({"alg": "HS256"}, LEGACY, key_of("HS256"), "sha256"), NOW) == LEGACY


FORGERIES = {
    "none": f"{part({'alg': 'none'})}.{part(CLAIMS)}.",
    "none, signed": forge({"alg": "none"}, CLAIMS, key_of("HS512")),
    "algorithm of the other issuer": forge({"alg": "HS256"}, CLAIMS, key_of("HS256"), "sha256"),
    "algorithm of the other issuer, legacy": forge({"alg": "HS512"}, LEGACY, key_of("HS512")),
    "header lies about the signature": forge({"alg": "HS256"}, LEGACY, key_of("HS512")),
    "asymmetric": forge({"alg": "RS256"}, CLAIMS, key_of("HS512")),
    "critical extension": forge({"alg": "HS512", "crit": ["x"], "x": 1}, CLAIMS, key_of("HS512")),
    "no algorithm": forge({"typ": "JWT"}, CLAIMS, key_of("HS512")),
    "algorithm is a list": forge({"alg": ["HS512"]}, CLAIMS, key_of("HS512")),
    "header is a list": forge(["alg"], CLAIMS, key_of("HS512")),
    "header is no JSON": forge(b"{", CLAIMS, key_of("HS512")),
    "header is no UTF-8": forge(b"\xff\xfe{}", CLAIMS, key_of("HS512")),
    "payload is no JSON": forge({"alg": "HS512"}, b"{", key_of("HS512")),
    "payload is no UTF-8": forge({"alg": "HS512"}, b"\xff", key_of("HS512")),
    "payload nests deeply": forge({"alg": "HS512"}, b"[" * 5000, key_of("HS512")),
    "payload is a list": forge({"alg": "HS512"}, [1], key_of("HS512")),
    "another key": Tokens(Keyring(OLD)).mint(CLAIMS),
    "unknown issuer": forge({"alg": "HS512"}, {**CLAIMS, "iss": "evil"}, key_of("HS512")),
    "issuer is a list": forge({"alg": "HS512"}, {**CLAIMS, "iss": ["supermq.auth"]}, key_of("HS512")),
    "no issuer": forge({"alg": "HS512"}, {"exp": NOW + 9, "iat": NOW}, key_of("HS512")),
    "no expiry": forge({"alg": "HS512"}, {"iss": "supermq.auth", "iat": NOW}, key_of("HS512")),
    "no time of issue": forge({"alg": "HS512"}, {"iss": "supermq.auth", "exp": NOW + 9}, key_of("HS512")),
    "expiry is text": forge({"alg": "HS512"}, {**CLAIMS, "exp": str(NOW + 9)}, key_of("HS512")),
    "expiry is true": forge({"alg": "HS512"}, {**CLAIMS, "exp": True}, key_of("HS512")),
    "expiry is infinite": forge({"alg": "HS512"}, {**CLAIMS, "exp": float("inf")}, key_of("HS512")),
    "issued in the future": TOKENS.mint({**CLAIMS, "iat": NOW + SKEW + 1}),
    "not valid yet": TOKENS.mint({**CLAIMS, "nbf": NOW + SKEW + 1}),
    "empty": "",
    "two parts": "a.b",
    "four parts": TOKENS.mint(CLAIMS) + ".x",
    "white space": TOKENS.mint(CLAIMS) + "\n",
    "padding": TOKENS.mint(CLAIMS) + "==",
    "too large": TOKENS.mint({**CLAIMS, "x": "x" * 8192}),
    "not ASCII": "é.é.é",
}


@pytest.mark.parametrize("token", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_token_is_refused(token):
    """No algorithm but the issuer's, no key but ours, no claim missing, no garbage."""
    with pytest.raises(TokenRefused):
        TOKENS.verify(token, NOW)


def test_every_changed_character_is_refused():
    """Also in the last character, whose spare bits Base64 ignores."""
    for claims in (CLAIMS, LEGACY):
        token = TOKENS.mint(claims)
        for place, old in enumerate(token):
            for new in "AQgw-.":
                if new == old:
                    continue
                with pytest.raises(TokenRefused):
                    TOKENS.verify(token[:place] + new + token[place + 1 :], NOW)


def test_a_token_ends_at_its_second():
    """Valid in the last second before `exp`, expired in the second of it."""
    token = TOKENS.mint(CLAIMS)
    assert TOKENS.verify(token, NOW + 3599) == CLAIMS
    with pytest.raises(TokenExpired):
        TOKENS.verify(token, NOW + 3600)


def test_a_clock_may_be_a_little_behind():
    """The declared skew and no more."""
    assert TOKENS.verify(TOKENS.mint({**CLAIMS, "iat": NOW + SKEW}), NOW)


def test_signing_keys_rotate_without_a_false_refusal():
    """Tokens of the older key go on; new ones are signed by the newest."""
    before, both, after = Tokens(Keyring(OLD)), Tokens(Keyring(NEW, OLD)), Tokens(Keyring(NEW))
    assert both.verify(before.mint(CLAIMS), NOW) == CLAIMS
    assert after.verify(both.mint(CLAIMS), NOW) == CLAIMS
    with pytest.raises(TokenRefused):
        after.verify(before.mint(CLAIMS), NOW)


@pytest.mark.parametrize("lack", ["iss", "iat", "exp"])
def test_nothing_is_signed_without_issuer_and_times(lack):
    """A token that could never be verified is never made."""
    with pytest.raises(ValueError, match="iss"):
        TOKENS.mint({key: value for key, value in CLAIMS.items() if key != lack})


def test_each_issuer_has_one_algorithm():
    """No two issuers share one, so an algorithm names its issuer."""
    assert sorted(ISSUERS.values()) == ["HS256", "HS512"]


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: f"{part(raw)}.{part(raw)}.{'A' * 86}"))
def test_garbage_is_refused(text):
    """Whatever stands in the header, the answer is a refusal and no traceback."""
    with pytest.raises(TokenRefused):
        TOKENS.verify(text, NOW)


def test_fresh_rings_share_nothing():
    """A token of another installation is nothing here."""
    with pytest.raises(TokenRefused):
        TOKENS.verify(Tokens(Keyring(os.urandom(32))).mint(CLAIMS), NOW)
