"""What handlers work with: a request goes in, one transaction happens, an answer comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from muster.core.access import Caller, Evidence, authenticate
from muster.core.keyholders import Passwords, Tokens
from muster.core.model import Instant
from muster.core.ports import Store, Tx
from muster.web import auth, idempotency
from muster.web.reply import Rendered, Reply, render
from muster.web.request import AnyRequest, Request, incoming

__all__ = ["AnyRequest", "Desk", "Rendered", "Reply", "Request"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One dialect's way to the store. Handlers get it as the dependency named `desk`."""

    store: Store
    tokens: Tokens
    passwords: Passwords
    clock: Callable[[], Instant]
    dialect: str
    line_end: bytes = b""
    """What ends every JSON body of the dialect."""

    async def run(
        self,
        request: AnyRequest,
        use_case: Callable[..., R],
        *args: Any,
        reply: Callable[[R], Reply],
        evidence: Evidence | None = None,
        **kwargs: Any,
    ) -> Rendered[Any]:
        """Run `use_case(tx, caller, *args, **kwargs)` in one transaction that may write; answer its result.

        The caller is whom the request's token or key names, or *evidence* instead. The answer is made inside
        the transaction: if it cannot be made, nothing has happened. A POST with an Idempotency-Key happens
        once. MissingToken, Unauthenticated, KeyReused, and whatever the use case raises.
        """
        mine = incoming(request)
        known = evidence or mine.evidence or auth.evidence(mine, self.tokens, self.clock)
        who = partial(_enter, mine, known)
        work = partial(_as_caller, self, use_case, args, kwargs, reply)
        mark = idempotency.mark(mine, known)
        if mark is None:
            return await self.store.run(_plainly, who, work)
        return await self.store.run(idempotency.once, mark, who, work)

    async def read(
        self,
        request: AnyRequest,
        use_case: Callable[..., R],
        *args: Any,
        reply: Callable[[R], Reply],
        evidence: Evidence | None = None,
        **kwargs: Any,
    ) -> Rendered[Any]:
        """Do as `run`, for a use case that only reads; an Idempotency-Key means nothing."""
        mine = incoming(request)
        known = evidence or mine.evidence or auth.evidence(mine, self.tokens, self.clock)
        who = partial(_enter, mine, known)
        work = partial(_as_caller, self, use_case, args, kwargs, reply)
        return await self.store.read(_plainly, who, work)

    async def run_open(
        self,
        request: AnyRequest,
        use_case: Callable[..., R],
        *args: Any,
        reply: Callable[[R], Reply],
        **kwargs: Any,
    ) -> Rendered[Any]:
        """Do as `run` for a request that needs no caller: `use_case(tx, *args, **kwargs)`."""
        work = partial(_openly, self, use_case, args, kwargs, reply)
        mark = idempotency.mark(incoming(request), None)
        if mark is None:
            return await self.store.run(work, None)
        return await self.store.run(idempotency.once, mark, _nobody, work)

    async def read_open(
        self,
        request: AnyRequest,
        use_case: Callable[..., R],
        *args: Any,
        reply: Callable[[R], Reply],
        **kwargs: Any,
    ) -> Rendered[Any]:
        """Do as `read` for a request that needs no caller: `use_case(tx, *args, **kwargs)`."""
        incoming(request)
        return await self.store.read(partial(_openly, self, use_case, args, kwargs, reply), None)

    def answer(self, reply: Reply) -> Rendered[Any]:
        """Answer without the store."""
        return render(reply, self.line_end)


def _enter(request: Request, evidence: Evidence, tx: Tx) -> Caller:
    caller = authenticate(tx, evidence)
    request.caller_id = caller.user.id
    return caller


def _plainly(tx: Tx, who: Callable[[Tx], Caller], work: Callable[[Tx, Caller], R]) -> R:
    return work(tx, who(tx))


def _as_caller(
    desk: Desk,
    use_case: Callable[..., R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    reply: Callable[[R], Reply],
    tx: Tx,
    caller: Caller,
) -> Rendered[Any]:
    return render(reply(use_case(tx, caller, *args, **kwargs)), desk.line_end)


def _openly(
    desk: Desk,
    use_case: Callable[..., R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    reply: Callable[[R], Reply],
    tx: Tx,
    _caller: None,
) -> Rendered[Any]:
    return render(reply(use_case(tx, *args, **kwargs)), desk.line_end)


def _nobody(_tx: Tx) -> None:
    return None
