"""The installation's own CA behind the core's ports: it signs, verifies and answers for what it signed."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import sha256

from muster.assembly import authorities as kept
from muster.assembly.lists import Lists
from muster.ca import est
from muster.ca import ocsp as responder
from muster.ca.authorities import Authorities
from muster.ca.authority import Authority, read_certificates
from muster.ca.csr import read_csr
from muster.ca.facts import read_certificate
from muster.ca.keypool import KeyPool
from muster.ca.keys import KeyKind, PrivateKey, PublicKey, key_kind, make_key
from muster.ca.leaf import Leaf, Urls, issue_leaf
from muster.ca.revocation import RevocationReason, Revoked
from muster.ca.verify import ChainRefused, Reason, verify_chain
from muster.core import validity
from muster.core.certificates import (
    AuthorityRecord,
    AuthorityView,
    Certificate,
    CertificateRequest,
    Issued,
    KeyWanted,
    RevocationList,
    Shown,
)
from muster.core.errors import Malformed, MusterError, NotFound
from muster.core.model import Instant
from muster.core.ports import Store, Tx

_MOST_SECONDS = 100 * 365 * 86_400
_VERIFIED, _MOST_VERIFIED = 60_000_000, 4096
"""Microseconds for which a chain found good is not verified again, never beyond the end of its first
certificate; and how many chains. Whether a certificate is revoked its record says, each time."""
_REFRESH = 10_000_000
"""Microseconds after which another process's change of the CAs is noticed at the latest."""


def kind_of(asked: CertificateRequest) -> KeyKind:
    """Give the kind of key that is asked for; Malformed if there is none such."""
    return key_kind(asked.key_type.value, asked.key_bits)


def lifetime_of(asked: CertificateRequest) -> timedelta:
    """Give the lifetime that is asked for; Malformed outside one second to 100 years."""
    if not 1 <= asked.ttl_seconds <= _MOST_SECONDS:
        raise Malformed("a certificate lives between one second and 100 years")
    return timedelta(seconds=asked.ttl_seconds)


def issued_of(leaf: Leaf) -> Issued:
    """Give what the core keeps of a certificate."""
    return Issued(
        serial=leaf.serial,
        certificate=leaf.certificate,
        chain=leaf.chain,
        key=leaf.key,
        key_digest=leaf.spki_sha256,
        fingerprint=leaf.fingerprint,
        issuer_id=leaf.issuer_id,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
    )


class OwnCa:
    """Muster's own CA. It lives in the database, so that all processes have the same."""

    is_remote = False

    def __init__(
        self, store: Store, clock: Callable[[], Instant], base_url: str, keys: KeyPool | None = None
    ) -> None:
        """Prepare; without `load` there is no CA. *base_url*: where the public addresses begin."""
        self.keys = keys or KeyPool()
        self.clock = clock
        self._store = store
        self._base_url = base_url
        self._lists = Lists(store, clock)
        self._records: list[AuthorityRecord] = []
        self._all = Authorities(())
        self._looked_at = Instant(0)
        self._verified: dict[bytes, tuple[Shown, Instant, Instant]] = {}
        """Chains that were good, from when until when they are not verified again."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when there are other CAs than before."""

    async def load(self) -> None:
        """Read the CAs, make them at first start. Unavailable when they cannot be unsealed."""
        self._use(await self._store.run(kept.ensure))

    def _use(self, found: list[AuthorityRecord]) -> None:
        is_changed = [each.id for each in found] != [each.id for each in self._records]
        if is_changed:
            self._all = kept.joined(found)
            self._verified.clear()
        self._records = found
        self._looked_at = self.clock()
        if is_changed:
            self.on_change()

    async def refresh(self, *, within: int = _REFRESH) -> None:
        """Notice what another process changed, if it was not looked at within that many microseconds."""
        if self.clock() - self._looked_at > within:
            self._use(await self._store.read(kept.records))

    # --- signing -----------------------------------------------------------------------------------------

    @property
    def ca_bundle(self) -> str:
        """The CA certificates that verify what is issued, PEM, root first."""
        return self._all.bundle_pem

    @property
    def crossed_pem(self) -> str:
        """Certificates of new roots signed by old ones, for servers to send to whoever knows only those."""
        return "".join(each.certificate for each in self._records if each.role == kept.CROSSED)

    @property
    def current(self) -> Authority:
        """The CA that signs now; Unavailable."""
        return self._all.current(self.clock())

    def urls_of(self, ca: Authority) -> Urls:
        """Give the public addresses that its certificates name."""
        base = f"{self._base_url}/certs"
        return Urls(crl=f"{base}/crl/{ca.id}", ocsp=f"{base}/ocsp", ca=f"{base}/ca/{ca.id}")

    def sign(
        self,
        tenant_id: str,
        device_id: str,
        asked: CertificateRequest,
        now: Instant,
        key: PrivateKey | PublicKey,
    ) -> Issued:
        """Sign a device's certificate for this key."""
        ca = self._all.current(now)
        return issued_of(
            issue_leaf(
                ca,
                key,
                tenant_id=tenant_id,
                device_id=device_id,
                ttl=lifetime_of(asked),
                now=now,
                urls=self.urls_of(ca),
                names=asked.names,
            )
        )

    def preparation(self) -> "OwnPreparation":
        """Begin a request that may issue."""
        return OwnPreparation(self)

    # --- what others ask about ---------------------------------------------------------------------------

    async def verify(self, chain_der: Sequence[bytes]) -> Shown:
        """Verify a shown chain, leaf first, up to our own CA; ChainRefused with the reason."""
        await self.refresh()
        try:
            return self._verify(chain_der)
        except ChainRefused as refused:
            if refused.reason is not Reason.UNKNOWN_CA:
                raise
        await self.refresh(within=0)  # another process may have rolled over just now
        return self._verify(chain_der)

    def _verify(self, chain_der: Sequence[bytes]) -> Shown:
        now, mark = self.clock(), sha256(b"".join(sha256(each).digest() for each in chain_der)).digest()
        known = self._verified.get(mark)
        if known is not None and known[1] <= now < known[2]:
            return known[0]
        found = verify_chain(chain_der[0], chain_der[1:], self._all.anchors, now)
        shown = Shown(serial=found.serial, fingerprint=found.fingerprint)
        if len(self._verified) >= _MOST_VERIFIED:
            self._verified.clear()
        self._verified[mark] = (shown, now, min(Instant(now + _VERIFIED), found.not_after))
        return shown

    async def revocation_list(self, issuer_id: str | None) -> RevocationList:
        """Give the current list of a CA, by default of the one that signs. NotFound if it is not ours."""
        return await self._lists.of(await self._find(issuer_id))

    async def _find(self, issuer_id: str | None) -> Authority:
        await self.refresh()
        try:
            return self._authority(issuer_id)
        except NotFound:
            await self.refresh(within=0)  # another process may have rolled over just now
            return self._authority(issuer_id)

    def _authority(self, issuer_id: str | None) -> Authority:
        return self.current if issuer_id is None else self._all.find(issuer_id)

    async def ocsp(self, question: bytes) -> bytes:
        """Answer a DER question about one certificate; what is wrong with it is in the answer."""
        await self.refresh()
        try:
            asked = await self._asked(question)
        except NotFound:
            return responder.refuse("unauthorized")
        except Malformed:
            return responder.refuse("malformed")
        try:
            return await self._answer(asked)
        except MusterError:
            return responder.refuse("later")

    async def _asked(self, question: bytes) -> responder.Question:
        try:
            return responder.read_question(question, self._all)
        except NotFound:
            await self.refresh(within=0)  # another process may have rolled over just now
            return responder.read_question(question, self._all)

    async def ocsp_of(self, serial: str) -> bytes:
        """Give the answer for a serial in hex or a certificate in PEM; NotFound if none of ours signed it."""
        if "BEGIN CERTIFICATE" in serial:
            serial = read_certificate(serial).serial
        found = await self._store.read(validity.by_serial, serial)
        if found is None:
            raise NotFound
        return await self._answer(responder.question_about(await self._find(found.issuer_id), found.id))

    async def _answer(self, asked: responder.Question) -> bytes:
        found = await self._store.read(validity.by_serial, asked.serial)
        return responder.answer(asked, _status(found, asked.ca.id), self.clock())

    async def authority(self, issuer_id: str | None) -> bytes:
        """Give a CA's certificate as DER, by default that of the one that signs; NotFound."""
        return (await self._find(issuer_id)).der

    async def bundle(self) -> str:
        """Give the CA certificates to trust, as the database has them now."""
        await self.refresh(within=0)
        return self.ca_bundle

    def certs_only(self, pem: str) -> bytes:
        """Give certificates as EST sends them."""
        return est.certs_only(read_certificates(pem))

    def csr_attributes(self) -> bytes:
        """Give what EST's csrattrs answers."""
        return est.csr_attributes()

    # --- care --------------------------------------------------------------------------------------------

    async def authorities(self) -> list[AuthorityView]:
        """Show all CAs, the newest first."""
        await self.refresh(within=0)
        return self._views(self._records, self.clock())

    def roll_over(self, tx: Tx, *, with_root: bool) -> list[AuthorityView]:
        """Make a new issuing CA, and a new root above it if asked; the old ones stay trusted."""
        return self._views(kept.roll_over(tx, with_root=with_root), tx.now)

    def take_over(self, tx: Tx, *, certificates: str, key: str, password: str | None) -> list[AuthorityView]:
        """Sign with an existing CA from now on. Malformed with the reason when it cannot be used."""
        return self._views(kept.take_over(tx, certificates, key, password), tx.now)

    def _views(self, found: Sequence[AuthorityRecord], now: Instant) -> list[AuthorityView]:
        return kept.views(found, kept.joined(found).current(now).id)

    async def revoked(self, issuer_id: str, serial: str) -> None:
        """Have whoever signed it know that it was revoked; for our own CA its record is enough."""

    async def upkeep(self) -> None:
        """Notice what another process changed."""
        await self.refresh()

    def close(self) -> None:
        """End the threads that make keys."""
        self.keys.close()


def _status(found: Certificate | None, issuer_id: str) -> responder.Answer:
    if found is None or found.issuer_id != issuer_id:
        return "unknown"
    if not found.revoked_at:
        return "good"
    return Revoked(found.id, found.revoked_at, RevocationReason(found.reason))


class OwnPreparation:
    """Signs in the transaction; keys that take long to make are got before it."""

    def __init__(self, ca: OwnCa) -> None:
        self._ca = ca
        self._slow: list[PrivateKey] = []
        self._used = 0

    @property
    def ca_bundle(self) -> str:
        """The CA certificates that verify what is issued, PEM, root first."""
        return self._ca.ca_bundle

    def issue(self, tenant_id: str, device_id: str, asked: CertificateRequest, now: Instant) -> Issued:
        """Sign a device's certificate; KeyWanted when an RSA key is to be made first."""
        return self._ca.sign(tenant_id, device_id, asked, now, self._key(tenant_id, device_id, asked))

    def _key(self, tenant_id: str, device_id: str, asked: CertificateRequest) -> PrivateKey | PublicKey:
        if asked.csr:
            return read_csr(asked.csr).public_key
        kind = kind_of(asked)
        if not kind.is_slow:
            return make_key(kind)
        if self._used >= len(self._slow):
            lifetime_of(asked)  # no key is made for what is refused anyway
            raise KeyWanted(tenant_id, device_id, asked)
        self._used += 1
        return self._slow[self._used - 1]

    async def prepare(self, wanted: KeyWanted) -> None:
        """Get a key from the pool; Unavailable when it has none in time."""
        self._slow.append(await asyncio.to_thread(self._ca.keys.take, kind_of(wanted.asked)))
        self._used = 0

    async def done(self, *, is_committed: bool) -> None:
        """Nothing was made outside the transaction."""
