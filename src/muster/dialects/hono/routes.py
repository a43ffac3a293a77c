"""All routes of the Hono door."""

from typing import Any

from muster.dialects.hono import credentials, devices, southbound, tenants

HANDLERS: list[Any] = [
    *tenants.HANDLERS,
    *devices.HANDLERS,
    *credentials.HANDLERS,
    *southbound.HANDLERS,
]
