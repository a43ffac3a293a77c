"""Who may pass the TLS front: who has a certificate of ours needs no password, others log in as ever."""

import time
from collections.abc import Sequence

from muster.core.errors import Unauthenticated
from muster.core.keyholders import Pki
from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.packets import ConnackCode
from muster.plane.arrivals import Arrival, Identity, Login, Refusal
from muster.plane.tickets import USERNAME, Tickets

_NOBODY = Refusal(code=ConnackCode.BAD_CREDENTIALS, reason="neither a certificate nor a password")
_NO_TEXT = Refusal(code=ConnackCode.BAD_CREDENTIALS, reason="the password is no text")


class Keeper:
    """Verifies chains at the front and hands devices on with a ticket; the callout looks the record up."""

    def __init__(self, pki: Pki, tickets: Tickets) -> None:
        self._pki = pki
        self._tickets = tickets

    async def verify(self, chain_der: Sequence[bytes], _sni: str | None) -> Identity | Refusal:
        """Judge a chain. Whether the certificate is revoked, and whose it is, its record tells at login."""
        try:
            shown = await self._pki.verify(chain_der)
        except Unauthenticated as error:
            return Refusal(code=ConnackCode.NOT_AUTHORIZED, reason=error.message)
        nobody = TenantId(""), DeviceId("")
        return Identity(
            tenant_id=nobody[0], device_id=nobody[1], serial=shown.serial, certificate_der=chain_der[0]
        )

    async def login_for(self, arrival: Arrival) -> Login | Refusal:
        """Give a ticket that carries who came and from where."""
        connect, identity = arrival.connect, arrival.identity
        if identity is None and connect.password is None:
            return _NOBODY
        try:
            password = (connect.password or b"").decode()
        except UnicodeDecodeError:
            return _NO_TEXT
        ticket = self._tickets.write(
            int(time.time()),
            username=connect.username or "",
            password=password,
            certificate=identity.certificate_der if identity is not None else None,
            source=arrival.source,
        )
        return Login(username=USERNAME, password=ticket.encode())
