"""What our own TLS ports show: the operator's certificate, or one from our own CA that renews itself."""

import asyncio
import contextlib
import socket
from pathlib import Path
from urllib.parse import urlsplit

from muster.assembly.signing import OwnCa
from muster.ca.keys import key_pem, make_key
from muster.ca.leaf import issue_server
from muster.core.errors import Malformed, MusterError, Unavailable
from muster.core.model import Instant
from muster.settings import Settings
from muster.web.tls import ServerTls

LOOK_SECONDS = 20
_WILDCARDS = {"0.0.0.0", "::", ""}  # noqa: S104 compared with, not bound to


def server_names(settings: Settings) -> list[str]:
    """Give the names that this server goes by, beside the local ones."""
    listeners = (settings.https, settings.mqtts, settings.adapter_mqtts)
    hosts = [urlsplit(settings.public_url).hostname or "", *(each.host for each in listeners if each)]
    with contextlib.suppress(OSError):
        hosts.append(socket.gethostname())
    return list(dict.fromkeys(host for host in hosts if host not in _WILDCARDS))


class Identity:
    """The server's certificate and key. `tls` shows the newest; running connections keep theirs."""

    def __init__(self, settings: Settings, ca: OwnCa) -> None:
        """Read or make it. Unavailable when the operator's files cannot be used, or there is no CA."""
        self._settings = settings
        self._ca = ca
        self._seen: tuple[int, ...] = ()
        self._issuer = ""
        self._renew_at = Instant(0)
        chain, key = self._newest()
        try:
            self.tls = ServerTls(chain_pem=chain, key_pem=key)
        except ValueError as error:
            files = " and ".join(map(str, self._files() or ()))
            raise Unavailable(f"{error} ({files}): MUSTER_TLS_CERTIFICATE, MUSTER_TLS_KEY") from None
        ca.on_change = self._follow

    def _follow(self) -> None:
        with contextlib.suppress(MusterError, ValueError):
            self.look()

    async def keep(self) -> None:
        """Show the newest for ever: look for changed files, renew before the end, follow a rollover."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(MusterError, ValueError, OSError):
                # What cannot be used is left alone: the certificate shown until now goes on.
                await self._ca.refresh()
                self.look()

    def look(self) -> None:
        """Show another certificate if there is one. ValueError or MusterError when it cannot be used."""
        if self._is_due():
            chain, key = self._newest()
            self.tls.use(chain_pem=chain, key_pem=key)

    def _is_due(self) -> bool:
        files = self._files()
        if files is not None:
            return _stamps(files) != self._seen
        return self._ca.clock() >= self._renew_at or self._ca.current.id != self._issuer

    def _files(self) -> tuple[Path, Path] | None:
        certificate, key = self._settings.tls_certificate, self._settings.tls_key
        return None if certificate is None or key is None else (certificate, key)

    def _newest(self) -> tuple[bytes, bytes]:
        files = self._files()
        return self._issue() if files is None else self._read(files)

    def _read(self, files: tuple[Path, Path]) -> tuple[bytes, bytes]:
        try:
            self._seen = _stamps(files)
            return files[0].read_bytes(), files[1].read_bytes()
        except OSError as error:
            raise Unavailable(f"{error.filename} cannot be read: {error.strerror}") from None

    def _issue(self) -> tuple[bytes, bytes]:
        ca, now, key = self._ca.current, self._ca.clock(), make_key()
        leaf = issue_server(ca, key, self._names(), now=now)
        self._issuer = ca.id
        self._renew_at = Instant(now + (leaf.not_after - now) * 2 // 3)
        return (leaf.certificate + leaf.chain + self._ca.crossed_pem).encode(), key_pem(key).encode()

    def _names(self) -> list[str]:
        names = server_names(self._settings)
        try:
            issue_server(self._ca.current, make_key(), names, now=self._ca.clock())
        except Malformed:
            return []  # a machine may be called what no certificate can say
        return names


def _stamps(files: tuple[Path, Path]) -> tuple[int, ...]:
    return tuple(file.stat().st_mtime_ns for file in files)
