"""Requests that issue certificates: what takes long is got between two attempts, not in a transaction."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from muster.core.certificates import KeyWanted
from muster.core.errors import Unavailable
from muster.core.keyholders import Pki, Preparation

R = TypeVar("R")
MOST = 64
"""How many things one request may have prepared."""


async def issuing(pki: Pki | None, attempt: Callable[[Preparation], Awaitable[R]]) -> R:
    """Run *attempt*, a whole transaction, with what signs for it; again after preparing what it wanted.

    Unavailable without a CA.
    """
    if pki is None:
        raise Unavailable("there is no CA")
    signer = pki.preparation()
    is_committed = False
    try:
        for _ in range(MOST):
            try:
                answer = await attempt(signer)
            except KeyWanted as wanted:
                await signer.prepare(wanted)
            else:
                is_committed = True
                return answer
        raise Unavailable("the request needs too many keys")
    finally:
        await signer.done(is_committed=is_committed)
