"""Tells the webhooks of tenants what becomes of their devices: each tenant in a lane of its own."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter

from muster import __version__
from muster.ca.webhooks import signature
from muster.core import webhooks
from muster.core.errors import MusterError, Unavailable
from muster.core.model import Instant, TenantId
from muster.core.webhooks import Lane, Notice, Round, Webhook
from muster.store.engine import AnyStore
from muster.web.outgoing import Line, Outgoing

POLL = 0.5
"""Seconds between two looks for what is due."""
AT_ONCE = 8
"""Calls of one tenant's webhook under way at a time, of different devices."""
_GONE = 410


class Webhooks:
    """Calls webhooks; of many processes, the one that delivers the outbox does."""

    def __init__(
        self,
        store: AnyStore,
        outgoing: Outgoing,
        clock: Callable[[], Instant],
        registry: CollectorRegistry,
        log: Any,
    ) -> None:
        self._store = store
        self._outgoing = outgoing
        self._clock = clock
        self._log = log
        told = Counter(
            "muster_webhook_notices", "What became of notices to webhooks", ["outcome"], registry=registry
        )
        self._delivered, self._failed, self._lost = (
            told.labels(outcome) for outcome in ("delivered", "failed", "given_up")
        )
        self._lanes: dict[TenantId, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Tell all that comes, until cancelled."""
        try:
            while True:
                if self._store.delivers:
                    with contextlib.suppress(MusterError):
                        await self.look()
                await asyncio.sleep(POLL)
        finally:
            lanes = list(self._lanes.values())
            for each in lanes:
                each.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            self._outgoing.close()

    async def look(self) -> None:
        """Begin with every tenant that has something to be told, and is not being told already."""
        for tenant_id in await self._store.read(webhooks.due):
            if tenant_id not in self._lanes:
                self._lanes[tenant_id] = asyncio.create_task(self._serve(tenant_id))

    async def _serve(self, tenant_id: TenantId) -> None:
        try:
            async with self._outgoing.open() as line:
                while self._store.delivers and await self.drain(tenant_id, line):
                    pass
        except Exception as error:  # noqa: BLE001 whatever it was, the notices stay and are tried again
            self._log.warning("webhook stopped", tenant=tenant_id, reason=type(error).__name__)
        finally:
            del self._lanes[tenant_id]

    async def drain(self, tenant_id: TenantId, line: Line) -> bool:
        """Tell a tenant what is due now; say whether there may be more."""
        lane = await self._store.read(webhooks.lane, tenant_id)
        if lane is None:
            return False
        done = await self._tell(lane, line)
        # Also when cancelled: what was delivered shall not be delivered again.
        now = await asyncio.shield(self._store.run(webhooks.settle, lane, done))
        self._say(lane, done, now)
        return now is not None and now.is_enabled

    async def _tell(self, lane: Lane, line: Line) -> Round:
        delivered: list[Notice] = []
        failed: list[tuple[Notice, str]] = []
        free = asyncio.Semaphore(AT_ONCE)

        async def tell(notices: tuple[Notice, ...]) -> None:
            for notice in notices:
                async with free:
                    if failed:
                        return  # the rest waits with what failed
                    error = await self._call(lane.webhook, notice, line)
                if error:
                    failed.append((notice, error))
                    return
                delivered.append(notice)

        await asyncio.gather(*(tell(each) for each in lane.ready))
        gone = f"HTTP {_GONE}"
        return Round(
            delivered=tuple(delivered),
            failed=tuple(failed),
            is_gone=any(error == gone for _, error in failed),
        )

    async def _call(self, webhook: Webhook, notice: Notice, line: Line) -> str:
        """Tell one notice; the reason if the receiver did not take it, else nothing."""
        body = body_of(notice)
        now = self._clock()
        try:
            status = await line.post(webhook.url, body, headers_of(webhook, notice, body, now))
        except Unavailable as error:
            return error.message
        return "" if 200 <= status < 300 else f"HTTP {status}"

    def _say(self, lane: Lane, done: Round, now: Webhook | None) -> None:
        self._delivered.inc(len(done.delivered))
        self._failed.inc(len(done.failed))
        tenant = lane.webhook.tenant_id
        if lane.stale:
            self._lost.inc(len(lane.stale))
            self._log.warning("webhook notices given up", tenant=tenant, count=len(lane.stale))
        if now is None:
            return
        if now.failing_since and not lane.webhook.failing_since:
            self._log.warning("webhook fails", tenant=tenant, reason=now.last_error)
        if done.is_gone:
            self._log.warning("webhook is gone and was switched off", tenant=tenant)
        if lane.webhook.failing_since and not now.failing_since:
            self._log.info("webhook answers again", tenant=tenant)


def body_of(notice: Notice) -> bytes:
    """Give the body, the same in every try."""
    at = datetime.fromtimestamp(notice.created_at / 1_000_000, UTC)
    data = {"tenant-id": notice.tenant_id, **({"device-id": notice.key} if notice.key else {})}
    return msgspec.json.encode(
        {
            "type": notice.topic,
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "data": {**data, **(notice.data or {})},
        }
    )


def headers_of(webhook: Webhook, notice: Notice, body: bytes, now: Instant) -> dict[str, str]:
    """Give the headers of Standard Webhooks; while a replaced secret is still good, it signs as well."""
    seconds = now // 1_000_000
    secrets = [webhook.secret]
    if webhook.former_secret is not None and now < webhook.former_until:
        secrets.append(webhook.former_secret)
    signatures = " ".join(signature(secret, notice.id, seconds, body) for secret in secrets)
    return {
        "content-type": "application/json",
        "user-agent": f"Muster/{__version__}",
        "webhook-id": notice.id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signatures,
    }
