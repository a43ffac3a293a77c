"""Use cases on the real store, SQLite; that PostgreSQL does the same is the store's own promise."""

from collections.abc import Callable
from typing import Any

import pytest

from muster.core import model as m
from muster.core import tenancy, users
from muster.core.access import Caller
from muster.core.ports import Tx
from muster.store.engine import AnyStore


@pytest.fixture
def kind() -> str:
    return "sqlite"


class House:
    """A tenant with an owner, and a way to run use cases in it."""

    def __init__(self, store: AnyStore, owner: Caller, tenant: m.TenantId) -> None:
        self.store = store
        self.owner = owner
        self.tenant = tenant

    async def do(
        self, use_case: Callable[..., Any], *args: Any, by: Caller | None = None, **more: Any
    ) -> Any:
        """Run `use_case(tx, caller, tenant, …)`, as the owner or somebody else."""
        return await self.store.run(use_case, by or self.owner, self.tenant, *args, **more)

    async def person(self, name: str) -> Caller:
        """Register a user."""
        return await self.store.run(register, name)


def register(tx: Tx, name: str) -> Caller:
    new = users.NewUser(username=name, email=f"{name}@example.com", password="verifier")
    return Caller(user=users.add_user(tx, new, actor=""))


@pytest.fixture
async def house(store: AnyStore) -> House:
    owner = await store.run(register, "owner")
    tenant = await store.run(tenancy.create_tenant, owner, tenancy.NewTenant(name="plant"))
    return House(store, owner, tenant.id)
