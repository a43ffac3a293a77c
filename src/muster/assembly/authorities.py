"""The CAs of the installation: made at first start, kept sealed in the database, rolled over, taken over."""

from collections.abc import Sequence
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from muster.ca.authorities import Authorities
from muster.ca.authority import (
    Authority,
    bundle,
    cross_sign,
    import_authority,
    make_issuing,
    make_root,
    read_certificates,
)
from muster.core.certificates import AuthorityRecord, AuthorityView
from muster.core.errors import Malformed, Unavailable
from muster.core.model import Instant, Secret
from muster.core.ports import ANYWHERE, Order, Tx

ROOT, ISSUING, CROSSED, REMOTE = "root", "issuing", "crossed", "remote"


def record_of(role: str, authority: Authority, now: Instant) -> AuthorityRecord:
    """Give the record of a CA; its key is sealed on the way into the database."""
    return AuthorityRecord(
        id=f"{role}-{authority.id}",
        role=role,
        certificate=bundle([authority.certificate]),
        material=Secret(authority.to_bytes().decode()),
        not_after=_instant(authority.certificate),
        created_at=now,
    )


def _instant(certificate: x509.Certificate) -> Instant:
    return Instant(int(certificate.not_valid_after_utc.timestamp()) * 1_000_000)


def _authority(record: AuthorityRecord) -> Authority:
    return Authority.from_bytes(record.material.reveal().encode())


def records(tx: Tx) -> list[AuthorityRecord]:
    """Give the records of all CAs, the newest first. Unavailable when they cannot be unsealed."""
    return tx.select(AuthorityRecord, ANYWHERE, order=Order("created_at", is_descending=True))


def ensure(tx: Tx) -> list[AuthorityRecord]:
    """Make a root and an issuing CA below it where there are none; give all records."""
    tx.lock("authorities")
    found = records(tx)
    if any(each.role == ISSUING for each in found):
        return found
    root = make_root(tx.now)
    tx.add(record_of(ROOT, root, tx.now), record_of(ISSUING, make_issuing(root, tx.now), tx.now))
    return records(tx)


def joined(found: Sequence[AuthorityRecord]) -> Authorities:
    """Give the issuing CAs ready to sign and verify."""
    crossed = [c for each in found if each.role == CROSSED for c in read_certificates(each.certificate)]
    remote = [read_certificates(each.certificate) for each in found if each.role == REMOTE]
    return Authorities([_authority(each) for each in found if each.role == ISSUING], crossed, remote)


def remote_id(chain: Sequence[x509.Certificate]) -> str:
    """Give the id of a CA that signs elsewhere."""
    return chain[0].fingerprint(SHA256()).hex()[:40]


def note_remote(tx: Tx, chain: Sequence[x509.Certificate]) -> list[AuthorityRecord]:
    """Keep a CA that signs elsewhere, with those above it; what it signed is good while it is away, too."""
    tx.lock("authorities")
    if remote_id(chain) not in {each.id.partition("-")[2] for each in records(tx)}:
        tx.add(
            AuthorityRecord(
                id=f"{REMOTE}-{remote_id(chain)}",
                role=REMOTE,
                certificate=bundle(chain),
                material=Secret(""),
                not_after=_instant(chain[0]),
                created_at=tx.now,
            )
        )
    return records(tx)


def roll_over(tx: Tx, *, with_root: bool) -> list[AuthorityRecord]:
    """Put a new issuing CA in front, under the newest root or a new one; the old ones stay trusted.

    A new root is also certified by the old one, so that whoever trusts only that accepts what is below both.
    Unavailable when there is no root key here, because an issuing CA was taken over without one.
    """
    tx.lock("authorities")
    found = records(tx)
    roots = [_authority(each) for each in found if each.role == ROOT]
    if not roots and not with_root:
        raise Unavailable("no root key is here: take over another CA, or make a new root")
    if with_root:
        root = make_root(tx.now)
        tx.add(record_of(ROOT, root, tx.now))
        if roots:
            tx.add(_crossing(roots[0], root, tx.now))
    else:
        root = roots[0]
    _put_in_front(tx, found, make_issuing(root, tx.now))
    return records(tx)


def _crossing(old: Authority, new: Authority, now: Instant) -> AuthorityRecord:
    certificate = cross_sign(old, new, now)
    return AuthorityRecord(
        id=f"{CROSSED}-{new.id}",
        role=CROSSED,
        certificate=bundle([certificate]),
        material=Secret(""),
        not_after=_instant(certificate),
        created_at=now,
    )


def _put_in_front(tx: Tx, found: Sequence[AuthorityRecord], authority: Authority) -> None:
    for old in found:
        if old.role == ISSUING and not old.retired_at:
            tx.change(replace(old, retired_at=tx.now))
    tx.add(record_of(ISSUING, authority, tx.now))


def take_over(tx: Tx, certificates: str, key: str, password: str | None) -> list[AuthorityRecord]:
    """Sign with an existing CA from now on; a root that may have CAs below it gets an issuing one.

    Malformed with the reason when it cannot be used, Conflict when it is here already.
    """
    tx.lock("authorities")
    if len(key) > 64 * 1024:
        raise Malformed("the private key is larger than 64 KiB")
    taken = import_authority(certificates, key, tx.now, password=password.encode() if password else None)
    found = records(tx)
    if taken.is_root and _may_have_cas_below(taken):
        roots = [_authority(each) for each in found if each.role == ROOT]
        tx.add(record_of(ROOT, taken, tx.now), *(_crossing(old, taken, tx.now) for old in roots[:1]))
        taken = make_issuing(taken, tx.now)
    _put_in_front(tx, found, taken)
    return records(tx)


def _may_have_cas_below(authority: Authority) -> bool:
    constraints = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    return constraints.path_length is None or constraints.path_length > 0


def views(found: Sequence[AuthorityRecord], current_id: str) -> list[AuthorityView]:
    """Show the CAs without their keys."""
    return [_view(each, current_id) for each in found]


def _view(record: AuthorityRecord, current_id: str) -> AuthorityView:
    certificate = read_certificates(record.certificate)[0]
    own_id = record.id.partition("-")[2]
    return AuthorityView(
        id=own_id,
        role=record.role,
        certificate=record.certificate,
        subject=certificate.subject.rfc4514_string(),
        not_before=Instant(int(certificate.not_valid_before_utc.timestamp()) * 1_000_000),
        not_after=record.not_after,
        is_current=record.role in (ISSUING, REMOTE) and own_id == current_id,
    )
