"""Sends the curl lines that a document prints, and compares replies with the printed ones."""

import http.client
import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
SHAPES = (UUID, TIME, TOKEN)


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Document:
    """A document's story, told to a server: ids stand for the printed ids, the same one each time."""

    address: str
    ids: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def curl(self, line: str) -> Reply:
        """Send what *line* makes curl send, to this server instead of the printed host."""
        words = iter(shlex.split(self._ours(line)))
        method, headers, body, url = "", {"User-Agent": "curl/8", "Accept": "*/*"}, None, ""
        for word in words:
            match word:
                case "curl" | "-s" | "-S" | "-i":
                    pass
                case "--cacert":
                    next(words)
                case "-X":
                    method = next(words)
                case "-H":
                    name, _, value = next(words).partition(": ")
                    headers[name] = value
                case "-d":
                    body = next(words).encode()
                case _:
                    assert not word.startswith("-"), f"this reader of curl lines does not know {word}"
                    url = word
        if body is not None:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return self._send(method or ("GET" if body is None else "POST"), url, headers, body)

    def _ours(self, line: str) -> str:
        for name, value in self.variables.items():
            line = line.replace(name, value)
        return UUID.sub(lambda found: self.ids.get(found[0], found[0]), line)

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Reply:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(self.address, timeout=30)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        connection.close()
        return reply

    def compare(self, printed: Any, ours: Any, where: str = "reply") -> list[str]:
        """Give each difference; ids, times and tokens need the same form, and an id keeps its meaning."""
        if isinstance(printed, dict) and isinstance(ours, dict):
            gone = [f"{where}: {sorted(printed.keys() ^ ours.keys())} only on one side"]
            found = [] if printed.keys() == ours.keys() else gone
            for key in printed.keys() & ours.keys():
                found += self.compare(printed[key], ours[key], f"{where}.{key}")
            return found
        if isinstance(printed, list) and isinstance(ours, list):
            found = [] if len(printed) == len(ours) else [f"{where}: {len(ours)} of {len(printed)} entries"]
            for index, (one, other) in enumerate(zip(printed, ours, strict=False)):
                found += self.compare(one, other, f"{where}[{index}]")
            return found
        if isinstance(printed, str) and isinstance(ours, str):
            return self._compare_text(printed, ours, where)
        return [] if printed == ours else [f"{where}: {ours!r} instead of {printed!r}"]

    def _compare_text(self, printed: str, ours: str, where: str) -> list[str]:
        for shape in SHAPES:
            if shape.fullmatch(printed):
                if not shape.fullmatch(ours):
                    return [f"{where}: {ours!r} has not the form of {printed!r}"]
                if shape is UUID and self.ids.setdefault(printed, ours) != ours:
                    return [f"{where}: {ours} is not what {printed} was before"]
                return []
        expected = UUID.sub(lambda found: self.ids.get(found[0], found[0]), printed)
        return [] if expected == ours else [f"{where}: {ours!r} instead of {printed!r}"]
