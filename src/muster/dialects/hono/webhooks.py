"""Webhooks of tenants (an addition of Muster's): the seed's step "provision device in external systems"."""

from typing import Annotated, Any

import msgspec
from litestar import delete, get, post, put
from msgspec import Meta

from muster.core import webhooks
from muster.core.model import TenantId
from muster.core.webhooks import LONGEST_URL, Topic, Webhook, check_url
from muster.dialects.hono.headers import checked, gone
from muster.dialects.hono.options import Options
from muster.dialects.hono.problems import MEDIA_TYPE
from muster.dialects.hono.times import write_time
from muster.web.desk import AnyRequest, Desk, Rendered, Reply


class WebhookBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Where a tenant's notices go, and which of them."""

    url: Annotated[str, Meta(min_length=1, max_length=LONGEST_URL)]
    topics: Annotated[list[Topic], Meta(min_length=1)]


def shown(webhook: Webhook, *, pending: int | None = None, with_secret: bool = False) -> dict[str, Any]:
    """Show a webhook; its secret only to whoever just had it made."""
    state = {
        "pending": pending,
        "failing-since": write_time(webhook.failing_since),
        "failures": webhook.failures or None,
        "next-attempt": write_time(webhook.next_at),
        "last-error": webhook.last_error or None,
        "last-delivery": write_time(webhook.delivered_at),
        "given-up": webhook.lost or None,
    }
    document: dict[str, Any] = {
        "url": webhook.url,
        "topics": list(webhook.topics),
        "enabled": webhook.is_enabled,
        "created": write_time(webhook.created_at),
        "updated": write_time(webhook.updated_at),
        "state": {name: value for name, value in state.items() if value is not None},
        "secret": webhook.secret.reveal() if with_secret else None,
    }
    return {name: value for name, value in document.items() if value is not None}


@put("/v1/tenants/{tenant:str}/webhook", operation_id="setWebhook", status_code=200)
async def set_webhook(
    request: AnyRequest, tenant: str, data: WebhookBody, desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Have what becomes of a tenant's devices told to a URL, signed as Standard Webhooks says.

    The first answer holds the signing secret; it is not shown again. To set a webhook again enables it, tries
    it at once, and keeps the secret.
    """
    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))
    url = check_url(data.url, allows_private=options.calls_private)

    def answer(made: tuple[Webhook, bool]) -> Reply:
        webhook, is_new = made
        return Reply(body=shown(webhook, with_secret=is_new), media_type=MEDIA_TYPE)

    return await desk.run(request, webhooks.set_webhook, known, url, data.topics, reply=answer)


@get("/v1/tenants/{tenant:str}/webhook", operation_id="getWebhook")
async def get_webhook(
    request: AnyRequest, tenant: str, desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Show a tenant's webhook, how many notices wait for it, and how its last calls went."""
    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))

    def answer(held: tuple[Webhook, int]) -> Reply:
        return Reply(body=shown(held[0], pending=held[1]), media_type=MEDIA_TYPE)

    return await desk.read(request, webhooks.get_webhook, known, reply=answer)


@post("/v1/tenants/{tenant:str}/webhook/secret", operation_id="renewWebhookSecret", status_code=200)
async def renew_secret(
    request: AnyRequest, tenant: str, desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Make another signing secret, shown once; for a day the one before signs as well."""
    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))

    def answer(webhook: Webhook) -> Reply:
        return Reply(body=shown(webhook, with_secret=True), media_type=MEDIA_TYPE)

    return await desk.run(request, webhooks.renew_secret, known, reply=answer)


@delete("/v1/tenants/{tenant:str}/webhook", operation_id="deleteWebhook", status_code=204)
async def delete_webhook(request: AnyRequest, tenant: str, desk: Desk, options: Options) -> Rendered[None]:
    """Tell nobody any more; what waits is dropped."""
    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))
    return await desk.run(request, webhooks.remove_webhook, known, reply=gone)


HANDLERS = [set_webhook, get_webhook, renew_secret, delete_webhook]
