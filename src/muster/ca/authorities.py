"""Several authorities of our own side by side: the newest signs, all of them are trusted while they last."""

from collections.abc import Iterable, Iterator, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from muster.ca.authority import Authority, bundle, moment
from muster.ca.verify import Anchor, anchor, own_anchor
from muster.core.errors import NotFound, Unavailable
from muster.core.model import Instant


class Authorities:
    """The issuing CAs of an installation, newest first. Rollover: put a new one in front, keep the old.

    A value: make a new one when the list changes.
    """

    __slots__ = ("_all", "_by_id", "anchors", "bundle_pem")

    def __init__(
        self,
        newest_first: Iterable[Authority],
        crossed: Iterable[x509.Certificate] = (),
        remote: Sequence[Sequence[x509.Certificate]] = (),
    ) -> None:
        """*crossed* are certificates of new roots signed by old ones (cross_sign); they join the bundle.

        *remote* are CAs whose keys somebody else has, each with those above it: trusted too, never signing.
        """
        self._all = tuple(newest_first)
        self._by_id = {each.id: each for each in self._all}
        elsewhere = (anchor(ca.public_bytes(Encoding.DER), tag="remote", is_own=True) for ca, *_ in remote)
        self.anchors: tuple[Anchor, ...] = (*map(own_anchor, self._all), *elsewhere)
        """What a client's chain must lead to. The issuing CAs themselves: a device need not send them."""
        above = [each for ca in self._all for each in (*reversed(ca.above), ca.certificate)]
        others = [each for chain in remote for each in reversed(chain)]
        self.bundle_pem = bundle(dict.fromkeys([*above, *crossed, *others]))
        """PEM of every CA that may be above one of our certificates, for whoever must trust us."""

    def current(self, now: Instant) -> Authority:
        """Give the newest that is valid at *now*; Unavailable if none is."""
        at = moment(now)
        for each in self._all:
            if each.not_before <= at < each.not_after:
                return each
        raise Unavailable("no issuing CA is valid at this time")

    def find(self, issuer_id: str) -> Authority:
        """Give the one that signed, by its id (Leaf.issuer_id); NotFound if it is not ours."""
        if issuer_id not in self._by_id:
            raise NotFound
        return self._by_id[issuer_id]

    def __iter__(self) -> Iterator[Authority]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)
