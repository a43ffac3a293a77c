"""The HTTP client of the Magistrala API, for the command line, for tests, for programs of others.

It sees no other part of Muster. Whatever goes wrong is a Failure; what may not happen twice is not repeated.
"""

import json
import re
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

Json = Any
Row = dict[str, Any]
"""An entity as the API shows it: a client, a channel, a domain."""

_HOST: Final = re.compile(r"[\w.:-]+")
LONGEST_WAIT: Final = 10.0
"""Seconds; a server that asks to wait longer than this is believed, and the caller told so."""
_BACKOFF: Final = (0.05, 0.2)
_BUSY: Final = frozenset({502, 503, 504})
BOTH: Final = ("publish", "subscribe")


class Failure(Exception):
    """A request that did not do what it was to do: refused, not answered, or not by a Muster.

    *status* is HTTP's, None when there was no answer. *reason* is for a person to read and never a secret.
    *request_id* finds the request in the server's log. *retry_after*: seconds to wait, if the server said so.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        request_id: str = "",
        retry_after: int | None = None,
        request: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.request = request
        """Method and path."""

    @property
    def is_unreachable(self) -> bool:
        """Whether nobody answered; what was asked may have happened all the same, unless it only read."""
        return self.status is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What logging in gives. An access token lives an hour, a refresh token a day, unless configured."""

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A success."""

    status: int
    body: Json
    """Decoded JSON; None when the body is empty or is no JSON."""
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A window of a list."""

    rows: list[Row]
    total: int
    """How many match in all."""


def path(template: str, **parts: str) -> str:
    """Fill `/{domain}/clients/{id}`; each part is escaped whole, a slash in it too."""
    return template.format(**{name: quote(part, safe="") for name, part in parts.items()})


def rows_of(body: Json) -> list[Row] | None:
    """Give the entities of a page, whatever their noun; None when the body is no page."""
    if not isinstance(body, dict) or "total" not in body:
        return None
    lists = [value for value in body.values() if isinstance(value, list)]
    return lists[0] if len(lists) == 1 else None


class Api:
    """Speaks to one Muster. Close it, or use it in a `with`.

    *tokens* as `login` gave them: when the access token has expired, it is refreshed and *on_tokens* is told.
    *authority* is a PEM file to trust instead of the system's, for a Muster with a CA of its own.
    ValueError for an address that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        tokens: Tokens | None = None,
        on_tokens: Callable[[Tokens], None] | None = None,
        authority: Path | None = None,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _checked(url)
        self.tokens = tokens
        self.on_tokens = on_tokens
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.url,
            timeout=timeout,
            verify=True if authority is None else ssl.create_default_context(cafile=str(authority)),
            headers={"Accept": "application/json, */*"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    # --- requests ----------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        where: str,
        *,
        body: Json = None,
        content: bytes | None = None,
        query: Mapping[str, str | int | None] | None = None,
        key: str | None = None,
        authorization: str | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Do one request; Failure unless it succeeds.

        *body* is sent as JSON, *content* as it is. *key* is an Idempotency-Key: with one, and for GET, a lost
        answer is asked for again. *authorization* stands in the place of the token; empty: there is none.
        """
        headers = {} if key is None else {"Idempotency-Key": key}
        if content is None and method in ("POST", "PUT", "PATCH", "DELETE"):
            headers["Content-Type"] = "application/json"
            content = None if body is None else json.dumps(body).encode()
        asked = self._http.build_request(
            method,
            where,
            params={name: value for name, value in (query or {}).items() if value is not None} or None,
            content=content,
            headers=headers,
            timeout=self._http.timeout if timeout is None else timeout,
        )
        may_repeat = method == "GET" or key is not None
        if authorization is not None or self.tokens is None:
            return _answer(asked, self._send(asked, authorization, is_repeatable=may_repeat))
        sent = self.tokens
        response = self._send(asked, f"Bearer {sent.access}", is_repeatable=may_repeat)
        if response.status_code == 401 and sent.refresh and self._is_refreshed():
            response = self._send(asked, f"Bearer {self.tokens.access}", is_repeatable=may_repeat)
        return _answer(asked, response)

    def _send(
        self, asked: httpx.Request, authorization: str | None, *, is_repeatable: bool
    ) -> httpx.Response:
        if authorization:
            asked.headers["Authorization"] = authorization
        for wait in (*_BACKOFF, None):
            try:
                response = self._http.send(asked)
            except httpx.LocalProtocolError as error:
                raise Failure(f"it cannot be sent: {error}") from None
            except httpx.RequestError as error:
                # What never left may be sent again, whatever it is.
                is_unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                if wait is None or not (is_unsent or is_repeatable) or isinstance(error, httpx.ReadTimeout):
                    raise self._unanswered(asked, error, is_unsent=is_unsent) from None
            else:
                pause = _pause(response, wait)
                if pause is None or not is_repeatable:
                    return response
                wait = pause
            self._sleep(wait)
        raise AssertionError("the last attempt answers or raises")

    def _unanswered(self, asked: httpx.Request, error: Exception, *, is_unsent: bool) -> Failure:
        said = f"{asked.method} {asked.url.path}"
        if is_unsent:
            return Failure(f"nobody answers at {self.url}: {error or type(error).__name__}", request=said)
        known = "" if asked.method == "GET" else "; it may have happened or not"
        return Failure(f"{self.url} took the request and did not answer{known}", request=said)

    def _is_refreshed(self) -> bool:
        try:
            self.refresh()
        except Failure as failure:
            if failure.status is None:
                raise
            return False
        return True

    def get(self, where: str, **query: str | int | None) -> Json:
        """Read."""
        return self.request("GET", where, query=query).body

    def create(self, where: str, body: Json = None, *, key: str | None = None) -> Json:
        """POST something that is to happen once, even if the answer is lost on the way."""
        return self.request("POST", where, body=body, key=key or str(uuid.uuid4())).body

    def page(self, where: str, **query: str | int | None) -> Page:
        """Read a window of a list."""
        body = self.get(where, **query)
        rows = rows_of(body)
        if rows is None:
            raise Failure(f"{self.url} does not answer as Muster does", status=200, request=f"GET {where}")
        return Page(rows=rows, total=int(body["total"]))

    def every(self, where: str, **query: str | int | None) -> Iterator[Row]:
        """Read a list to its end, 100 at a time, in the order of creation."""
        asked = {"order": "created_at", **query, "limit": 100}
        offset = 0
        while True:
            page = self.page(where, **{**asked, "offset": offset})
            yield from page.rows
            offset += len(page.rows)
            if not page.rows or offset >= page.total:
                return

    # --- people ------------------------------------------------------------------------------------------

    def login(self, username: str, password: str) -> Tokens:
        """Log in with a username or e-mail address; what follows is asked as that user."""
        body = {"username": username, "password": password}
        return self._take(self.request("POST", "/users/tokens/issue", body=body, authorization="").body)

    def refresh(self) -> Tokens:
        """Exchange the refresh token for new tokens."""
        known = self.tokens.refresh if self.tokens is not None else ""
        asked = self.request("POST", "/users/tokens/refresh", body={}, authorization=f"Bearer {known}")
        return self._take(asked.body)

    def _take(self, body: Json) -> Tokens:
        if not isinstance(body, dict) or "access_token" not in body:
            raise Failure(f"{self.url} does not answer as Muster does", status=201)
        self.tokens = Tokens(access=body["access_token"], refresh=body.get("refresh_token", ""))
        if self.on_tokens is not None:
            self.on_tokens(self.tokens)
        return self.tokens

    def register(self, username: str, password: str, *, email: str, first_name: str, last_name: str) -> Row:
        """Create a user."""
        credentials = {"username": username, "secret": password}
        body = {"first_name": first_name, "last_name": last_name, "email": email, "credentials": credentials}
        made: Row = self.create("/users", body)
        return made

    # --- a domain and what is in it ------------------------------------------------------------------------

    def create_domain(self, name: str, alias: str, **fields: Json) -> Row:
        """Create a domain; the caller becomes its admin."""
        made: Row = self.create("/domains", {"name": name, "alias": alias, **fields})
        return made

    def create_all(self, where: str, rows: Sequence[Row], *, key: str | None = None) -> list[Row]:
        """Create all of the rows or none, at `/{domain}/clients/bulk` or `/{domain}/channels/bulk`.

        They come back in the same order, clients with their secrets. It may take minutes.
        """
        answer = self.request("POST", where, body=list(rows), key=key or str(uuid.uuid4()), timeout=600.0)
        return rows_of(answer.body) or []

    def connect(
        self,
        domain: str,
        *,
        clients: Sequence[str],
        channels: Sequence[str],
        types: Sequence[str] = BOTH,
        key: str | None = None,
    ) -> None:
        """Connect each client to each channel, all or nothing. Failure 409 if any of it is so already."""
        body = {"client_ids": list(clients), "channel_ids": list(channels), "types": list(types)}
        self.create(path("/{d}/channels/connect", d=domain), body, key=key)

    def disconnect(
        self, domain: str, *, clients: Sequence[str], channels: Sequence[str], types: Sequence[str] = BOTH
    ) -> None:
        """Disconnect each client from each channel; what is not connected stays so."""
        body = {"client_ids": list(clients), "channel_ids": list(channels), "types": list(types)}
        self.create(path("/{d}/channels/disconnect", d=domain), body)

    def provision(
        self,
        domain: str,
        external_id: str,
        external_key: str,
        *,
        name: str = "",
        metadata: Row | None = None,
        dry_run: bool = False,
    ) -> Row:
        """Make all that a gateway needs, in one call, whole or not at all; asked again, answered the same.

        With *dry_run* the plan comes back and nothing is made.
        """
        body: Row = {"external_id": external_id, "external_key": external_key}
        body |= {k: v for k, v in (("name", name), ("metadata", metadata)) if v}
        where = path("/{d}/mapping", d=domain)
        query = {"dry_run": "true"} if dry_run else {}
        made: Row = self.request("POST", where, body=body, query=query, key=str(uuid.uuid4())).body
        return made

    def unprovision(self, domain: str, external_id: str, *, force: bool = False) -> Row:
        """Delete exactly what `provision` made; what was changed or shared since stays, unless *force*."""
        where = path("/{d}/mapping/{id}", d=domain, id=external_id)
        answer = self.request("DELETE", where, query={"force": "true"} if force else {})
        removed: Row = answer.body
        return removed

    def bootstrap(self, external_id: str, external_key: str) -> Row:
        """Fetch a gateway's configuration as the gateway does, with nothing but its external id and key."""
        where = path("/clients/bootstrap/{id}", id=external_id)
        fetched: Row = self.request("GET", where, authorization=f"Client {external_key}").body
        return fetched


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url.strip() if "://" in url else f"http://{url.strip()}")
    except httpx.InvalidURL:
        parsed = httpx.URL()
    is_plain = _HOST.fullmatch(parsed.host) is not None and not parsed.userinfo
    if parsed.scheme not in ("http", "https") or not is_plain:
        raise ValueError(f"{url!r} is no address of a server; one looks like http://127.0.0.1:8080")
    return str(parsed).rstrip("/")


def _pause(response: httpx.Response, wait: float | None) -> float | None:
    """Say how long to wait before asking again; None when the answer is to be taken as it is."""
    if wait is None or response.status_code not in _BUSY:
        return None
    said = _seconds(response)
    return wait if said is None else said if said <= LONGEST_WAIT else None


def _seconds(response: httpx.Response) -> int | None:
    said = response.headers.get("retry-after", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None


def _answer(asked: httpx.Request, response: httpx.Response) -> Answer:
    if not response.is_success:
        raise _failure(asked, response)
    return Answer(status=response.status_code, body=_json(response), content=response.content)


def _json(response: httpx.Response) -> Json:
    if not response.content or "json" not in response.headers.get("content-type", ""):
        return None
    try:
        return json.loads(response.content)
    except ValueError:
        return None


def _failure(asked: httpx.Request, response: httpx.Response) -> Failure:
    return Failure(
        _reason(_json(response)) or f"{response.status_code} {response.reason_phrase}".strip(),
        status=response.status_code,
        request_id=response.headers.get("x-request-id", ""),
        retry_after=_seconds(response),
        request=f"{asked.method} {asked.url.path}",
    )


def _reason(body: Json) -> str:
    """Read an error: Magistrala says `message` and, when there is more to say, `error` (spec A.0)."""
    if not isinstance(body, dict):
        return ""
    said = [body.get("message"), body.get("error")]
    return ": ".join(each for each in said if isinstance(each, str) and each)
