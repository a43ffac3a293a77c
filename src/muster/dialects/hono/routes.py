"""All routes of the Hono door."""

from typing import Any

from muster.dialects.hono import credentials, devices, southbound, tenants, webhooks

HANDLERS: list[Any] = [
    *tenants.HANDLERS,
    *devices.HANDLERS,
    *credentials.HANDLERS,
    *southbound.HANDLERS,
    *webhooks.HANDLERS,
]
