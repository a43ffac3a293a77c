"""Who a device is, for Hono's adapters: by certificate, token or password."""

import hmac
import re
import time
from collections.abc import Callable
from dataclasses import replace
from secrets import token_bytes

from muster.assembly.revocations import Revocations, asks
from muster.ca import devicetokens
from muster.ca.passwords import verify_hono
from muster.core import contacts, southbound
from muster.core.errors import (
    Malformed,
    Unauthenticated,
)
from muster.core.identity import PASSWORD, RAW_KEY, Certificates, Proof
from muster.core.keyholders import Passwords
from muster.core.model import Instant, Json
from muster.core.ports import Store
from muster.core.southbound import Login, Unregistered
from muster.core.throttle import Throttle
from muster.plane.adapter.ports import (
    Evidence,
)


class Remembered:
    """Passwords that were verified lately, by a keyed hash of verifier and password: bounded."""

    MOST = 8192
    SECONDS = 15 * 60

    def __init__(self) -> None:
        self._key = token_bytes(32)
        self._known: dict[bytes, float] = {}

    def mark(self, proof: Proof, plain: str) -> bytes:
        """Name the pair; another verifier, another name, so a changed password is never remembered."""
        text = f"{proof.function}\0{proof.verifier}\0{proof.salt}\0{plain}"
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")

    def knows(self, mark: bytes) -> bool:
        """Say whether it was verified lately."""
        return self._known.get(mark, 0.0) > time.monotonic()

    def add(self, mark: bytes) -> None:
        """Note that it was verified."""
        self._known.pop(mark, None)
        if len(self._known) >= self.MOST:
            del self._known[next(iter(self._known))]
        self._known[mark] = time.monotonic() + self.SECONDS


class Identifier:
    """Says who a device is by what it shows; shared by all adapters of a process."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        certificates: Certificates,
        clock: Callable[[], Instant],
        throttle: Throttle,
        *,
        device_ids: re.Pattern[str] = contacts.DEVICE_ID,
        revocations: Revocations | None = None,
    ) -> None:
        """Prepare; without *revocations* a CA that wants to be asked lets nobody in."""
        self._revocations = revocations
        self.device_ids = device_ids
        self._store = store
        self._passwords = passwords
        self._certificates = certificates
        self._clock = clock
        self._throttle = throttle
        self._remembered = Remembered()

    async def identify(self, evidence: Evidence, adapter: str) -> Login:
        """Give who proved itself: by certificate, token or password, in this order (spec C.1).

        Any of the core's errors else. Whether tenant, adapter and device are enabled is not asked here, but
        for a device that comes into being.
        """
        context: dict[str, Json] = {"client-id": evidence.client_id} if evidence.client_id else {}
        if evidence.chain_der:
            try:
                return await self._by_certificate(evidence, adapter, context)
            except Unauthenticated:
                if evidence.password is None and not evidence.token:
                    raise
        if evidence.token:
            try:
                return await self._by_token(evidence, context)
            except Unauthenticated:
                if evidence.password is None:
                    raise
        return await self._by_password(evidence, context)

    async def _by_token(self, evidence: Evidence, context: dict[str, Json]) -> Login:
        """Let in whoever signed with a key of the credential that the token, or else the request, names."""
        tenant, auth_id = devicetokens.claimed(evidence.token) or evidence.named or ("", "")
        attempt = (f"{auth_id}@{tenant}", evidence.source)
        self._throttle.check(attempt, self._clock())
        try:
            login = await self._store.read(southbound.find_login, tenant, RAW_KEY, auth_id, context)
            self._check_token(login, evidence.token)
        except (Unauthenticated, Malformed):
            self._throttle.failed(attempt, self._clock())
            raise Unauthenticated from None
        return login

    def _check_token(self, login: Login, token: str) -> None:
        now = self._clock()
        keys = [proof.key for proof in login.credential.proofs if proof.is_valid(now)]
        if not any(devicetokens.is_proven(token, key, now // 1_000_000) for key in keys):
            raise Unauthenticated

    async def _by_certificate(self, evidence: Evidence, adapter: str, context: dict[str, Json]) -> Login:
        keys = self._certificates.issuers(evidence.chain_der)
        anchors = await self._store.read(southbound.anchors, keys, evidence.sni)
        shown = self._certificates.verify(evidence.chain_der, anchors.cas, self._clock())
        tenant = anchors.tenant
        ca = next(each for each in anchors.cas if each.id == shown.ca_id)
        if self._revocations is not None and asks(ca):
            await self._revocations.check(evidence.chain_der, shown.serial, ca)
            shown = replace(shown, is_checked=True)
        known = await self._store.read(southbound.certificate_login, tenant.id, shown, context)
        if isinstance(known, Unregistered):
            southbound.open_tenant(tenant, adapter)
            login, _ = await self._store.run(
                contacts.first_contact,
                tenant.id,
                shown,
                source=evidence.source,
                device_ids=self.device_ids,
            )
            return login
        return known

    async def _by_password(self, evidence: Evidence, context: dict[str, Json]) -> Login:
        shown = evidence.password
        if shown is None:
            raise Unauthenticated
        attempt = (f"{shown.auth_id}@{shown.tenant}", evidence.source)
        self._throttle.check(attempt, self._clock())
        try:
            plain = shown.secret.decode()
            login = await self._store.read(
                southbound.find_login, shown.tenant, PASSWORD, shown.auth_id, context
            )
        except (Unauthenticated, Malformed, UnicodeDecodeError):
            await self._passwords.verify(None, "x")
            self._throttle.failed(attempt, self._clock())
            raise Unauthenticated from None
        now = self._clock()
        for proof in login.credential.proofs:
            if proof.is_valid(now) and await self._is_proven(proof, plain):
                return login
        self._throttle.failed(attempt, now)
        raise Unauthenticated

    async def _is_proven(self, proof: Proof, plain: str) -> bool:
        if proof.function in ("sha-256", "sha-512"):
            return verify_hono(proof.function, proof.verifier, proof.salt or None, plain)
        mark = self._remembered.mark(proof, plain)
        if self._remembered.knows(mark):
            return True
        is_proven = await self._passwords.verify(proof.verifier, plain)
        if is_proven:
            self._remembered.add(mark)
        return is_proven
