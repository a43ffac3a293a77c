"""A tenant with a CA whose devices may knock, and their certificates."""

import uuid
from typing import Any

from muster.assembly.certificates import Certificates
from muster.assembly.gate import MQTT
from muster.assembly.identifier import Identifier
from muster.core.errors import MusterError
from muster.core.southbound import Login, admit
from muster.core.throttle import Throttle
from muster.plane.adapter.ports import Evidence
from tests.ca.pki import Foreign, der, subject
from tests.dialects.hono.desk import Door, b64

OPEN = {"auto-provisioning-enabled": True}


def unique(name: str = "CA") -> str:
    return f"{name} {uuid.uuid4().hex[:8]}"


class Plant:
    """A tenant with a CA, and devices that knock."""

    def __init__(self, door: Door, ca: Foreign, tenant: str) -> None:
        self.door, self.ca, self.tenant = door, ca, tenant
        self.identifier = Identifier(
            door.store, door.passwords, Certificates(), door.clock, Throttle(limit=50, period=60)
        )

    async def knock(self, *chain: bytes, sni: str | None = None, password: Any = None) -> Login:
        evidence = Evidence(chain_der=chain, sni=sni, password=password, client_id="", source="203.0.113.7")
        login = await self.identifier.identify(evidence, MQTT)
        admit(login, MQTT)
        return login

    async def refused(self, *chain: bytes, **more: Any) -> type[MusterError]:
        try:
            await self.knock(*chain, **more)
        except MusterError as error:
            return type(error).__mro__[1] if type(error).__module__ != "muster.core.errors" else type(error)
        raise AssertionError("the device was let in")

    async def total(self) -> int:
        answer = await self.door("GET", f"/v1/devices/{self.tenant}")
        return answer.json()["total"] if answer.status_code == 200 else 0


async def plant(door: Door, *, tenant: Any = None, ca: Foreign | None = None, **rules: Any) -> Plant:
    ca = ca or Foreign(unique())
    body = {"trusted-ca": [{"cert": b64(ca.der), **(rules or OPEN)}], **(tenant or {})}
    return Plant(door, ca, await door.tenant(**body))


def leaf(issuer: Foreign, name: str = "pump-1", **options: Any) -> bytes:
    return der(issuer.sign(name=options.pop("subject", subject(name, o="ACME")), **options))
