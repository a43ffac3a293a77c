"""Vault or OpenBao signs the devices' certificates; our own CA goes on for our own TLS ports.

Before Vault is asked, the intent (device, key hash) is in the journal. What it made without our record is
found by that, and revoked.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from muster.assembly import authorities as kept
from muster.assembly.signing import OwnCa, kind_of, lifetime_of
from muster.ca.authorities import Authorities
from muster.ca.authority import bundle, read_certificates, serial_text
from muster.ca.csr import read_csr
from muster.ca.keys import PrivateKey, key_pem, spki_sha256
from muster.ca.vault import Signed, Vault, names_of, request_for
from muster.core.certificates import (
    AuthorityRecord,
    AuthorityView,
    Certificate,
    CertificateRequest,
    Issued,
    KeyWanted,
    RevocationList,
    SigningIntent,
)
from muster.core.errors import MusterError, Unavailable
from muster.core.model import DeviceId, Instant, Secret, TenantId
from muster.core.ports import ANYWHERE, Before, OneOf, Store, Tx

ISSUER = "vault"
STALE = 120_000_000
"""Microseconds after which a call to Vault is over, whatever became of it."""
_TOKEN = 600_000_000
_BATCH = 500


class RemoteCa(OwnCa):
    """Signs through Vault."""

    is_remote = True

    def __init__(self, store: Store, clock: Callable[[], Instant], base_url: str, vault: Vault) -> None:
        super().__init__(store, clock, base_url)
        self.vault = vault
        self.journal = store
        self._renewed_at = Instant(0)

    async def load(self) -> None:
        """Read our own CAs and those known of Vault; at first ask it, or else with the first request.

        Later starts do not wait for Vault: what it signs with now is learned by upkeep, and with signing.
        """
        await super().load()
        if not self.is_known:
            with contextlib.suppress(Unavailable):
                await self.look()

    async def look(self) -> None:
        """Learn which CA signs there now. Unavailable."""
        await self.note(await asyncio.to_thread(self.vault.authorities))

    async def note(self, chain: Sequence[x509.Certificate]) -> None:
        """Trust a CA that signs there from now on, in every process, and while Vault is away. Unavailable."""
        if kept.remote_id(chain) in self._remote():
            return
        try:
            Authorities((), remote=[chain])
        except MusterError as error:
            raise Unavailable(f"Vault's CA cannot be used: {error.message}") from None
        self._use(await self.journal.run(kept.note_remote, chain))

    def _remote(self) -> dict[str, x509.Certificate]:
        """The CAs that have signed there, by id, the newest first."""
        found = (each for each in self._records if each.role == kept.REMOTE)
        return {each.id.partition("-")[2]: read_certificates(each.certificate)[0] for each in found}

    def _views(self, found: Sequence[AuthorityRecord], now: Instant) -> list[AuthorityView]:
        remote = [each.id.partition("-")[2] for each in found if each.role == kept.REMOTE]
        return kept.views(found, remote[0]) if remote else super()._views(found, now)

    @property
    def is_known(self) -> bool:
        """Whether any CA that signs there is known."""
        return any(each.role == kept.REMOTE for each in self._records)

    async def authority(self, issuer_id: str | None) -> bytes:
        """Give a CA's certificate as DER, by default that of Vault's; NotFound."""
        await self.refresh()
        remote = self._remote()
        if issuer_id is None and remote:
            issuer_id = next(iter(remote))
        if issuer_id in remote:
            return remote[issuer_id].public_bytes(Encoding.DER)
        return await super().authority(issuer_id)

    def preparation(self) -> "RemotePreparation":  # type: ignore[override]
        """Begin a request that may issue."""
        return RemotePreparation(self)

    async def revocation_list(self, issuer_id: str | None) -> RevocationList:
        """Give Vault's list, or that of a CA of our own. Unavailable when Vault does not answer."""
        if issuer_id not in (None, ISSUER):
            return await super().revocation_list(issuer_id)
        der = await asyncio.to_thread(self.vault.crl)
        found = x509.load_der_x509_crl(der)
        until = found.next_update_utc or datetime.now(UTC) + timedelta(hours=1)
        return RevocationList(
            der=der,
            etag=f'"{sha256(der).hexdigest()[:32]}"',
            this_update=_instant(found.last_update_utc),
            next_update=_instant(until),
        )

    async def revoked(self, issuer_id: str, serial: str) -> None:
        """Have Vault revoke what was revoked here; Unavailable: again later."""
        if issuer_id == ISSUER:
            await asyncio.to_thread(self.vault.revoke, serial)

    async def upkeep(self) -> None:
        """Renew the token; learn of a new CA there; revoke what Vault made and we have no record of."""
        await super().upkeep()
        if self.clock() - self._renewed_at > _TOKEN:
            await asyncio.to_thread(self.vault.renew_token)
            self._renewed_at = self.clock()
        await self.look()
        await self.reconcile(Instant(self.clock() - STALE))

    async def reconcile(self, before: Instant) -> list[str]:
        """Revoke what was signed for intents from before that time and recorded nowhere; give the serials."""
        stale = await self.journal.read(_intents, before)
        if not stale:
            return []
        wanted = {each.key_digest for each in stale}
        unknown = await self.journal.read(_unknown, await asyncio.to_thread(self.vault.serials))
        revoked = []
        for serial in unknown:
            if await asyncio.to_thread(self.vault.key_digest_of, serial) in wanted:
                await asyncio.to_thread(self.vault.revoke, serial)
                revoked.append(serial)
        await self.journal.run(_forget, [each.id for each in stale])
        return revoked


def _intents(tx: Tx, before: Instant) -> list[SigningIntent]:
    return tx.select(SigningIntent, ANYWHERE, Before("created_at", before))


def _unknown(tx: Tx, serials: Sequence[str]) -> list[str]:
    known: set[str] = set()
    for place in range(0, len(serials), _BATCH):
        part = serials[place : place + _BATCH]
        known |= {each.id for each in tx.select(Certificate, ANYWHERE, OneOf("id", part))}
    return [serial for serial in serials if serial not in known]


def _forget(tx: Tx, intents: Sequence[str]) -> None:
    tx.remove(SigningIntent, ANYWHERE, id=list(intents))


def _journal(tx: Tx, intent: SigningIntent) -> None:
    tx.add(intent)


def _instant(at: datetime) -> Instant:
    return Instant(int(at.timestamp()) * 1_000_000)


class RemotePreparation:
    """Hands out what Vault signed between two attempts; what stays unused is revoked."""

    def __init__(self, ca: RemoteCa) -> None:
        self._ca = ca
        self._made: dict[tuple[str, str], Issued] = {}
        self._used: set[str] = set()

    @property
    def ca_bundle(self) -> str:
        """The CA certificates to trust, PEM, root first."""
        return self._ca.ca_bundle

    def issue(self, tenant_id: str, device_id: str, asked: CertificateRequest, now: Instant) -> Issued:
        """Give the device's certificate; KeyWanted until Vault has signed it."""
        del now
        lifetime_of(asked)
        made = self._made.get((tenant_id, device_id))
        if made is None:
            raise KeyWanted(tenant_id, device_id, asked)
        self._used.add(made.serial)
        return made

    async def prepare(self, wanted: KeyWanted) -> None:
        """Journal the intent and ask Vault. Unavailable when it does not sign."""
        if not self._ca.is_known:
            await self._ca.look()
        names = names_of(wanted.tenant_id, wanted.device_id, wanted.asked.names)
        seconds = int(lifetime_of(wanted.asked).total_seconds())
        key, csr = await self._key(wanted)
        public = key.public_key() if key is not None else read_csr(csr).public_key
        intent = SigningIntent(
            id=str(uuid.uuid4()),
            tenant_id=TenantId(wanted.tenant_id),
            device_id=DeviceId(wanted.device_id),
            key_digest=spki_sha256(public),
            created_at=self._ca.clock(),
        )
        await self._ca.journal.run(_journal, intent)
        signed = await asyncio.to_thread(self._ca.vault.sign, csr, public, names, seconds)
        await self._ca.note(signed.authorities)
        self._used.clear()
        self._made[wanted.tenant_id, wanted.device_id] = _issued(signed, key, intent)

    async def _key(self, wanted: KeyWanted) -> tuple[PrivateKey | None, str]:
        if wanted.asked.csr:
            return None, read_csr(wanted.asked.csr).pem
        key = await asyncio.to_thread(self._ca.keys.take, kind_of(wanted.asked))
        return key, request_for(key, wanted.device_id)

    async def done(self, *, is_committed: bool) -> None:
        """Revoke what was signed for nothing. Where that fails the intent stays, for reconcile."""
        for made in self._made.values():
            if is_committed and made.serial in self._used:
                continue
            try:
                await asyncio.to_thread(self._ca.vault.revoke, made.serial)
            except Unavailable:
                continue
            await self._ca.journal.run(_forget, [made.intent_id])


def _issued(signed: Signed, key: PrivateKey | None, intent: SigningIntent) -> Issued:
    certificate = signed.certificate
    der = certificate.public_bytes(Encoding.DER)
    return Issued(
        serial=serial_text(certificate.serial_number),
        certificate=bundle([certificate]),
        chain=signed.chain,
        key=Secret(key_pem(key)) if key is not None else None,
        key_digest=intent.key_digest,
        fingerprint=sha256(der).digest(),
        issuer_id=ISSUER,
        not_before=_instant(certificate.not_valid_before_utc),
        not_after=_instant(certificate.not_valid_after_utc),
        intent_id=intent.id,
    )
