"""Every noun goes in and comes out as it was, on both databases."""

from dataclasses import fields

import pytest

from muster.core import certificates, identity, metering, model, webhooks
from muster.core.ports import ANYWHERE
from muster.store.engine import AnyStore
from muster.store.nouns import SHAPES
from tests.store.nouns import EVERY_NOUN

pytestmark = pytest.mark.anyio


def equals_of(noun):
    shape = SHAPES[type(noun)]
    return {field: getattr(noun, field) for field in shape.key}


async def test_every_noun_comes_back_as_it_was(store: AnyStore):
    """Text, numbers, JSON, tuples, enumerations and secrets survive unchanged."""
    await store.run(lambda tx: tx.add(*EVERY_NOUN))
    for noun in EVERY_NOUN:
        tenant_id = getattr(noun, "tenant_id", ANYWHERE)
        found = await store.read(lambda tx, n=noun, t=tenant_id: tx.find(type(n), t, **equals_of(n)))
        assert found == noun


def test_every_noun_of_the_core_is_stored():
    """A noun that is added to the core and forgotten here is noticed."""
    nouns = {
        one for one in vars(model).values() if isinstance(one, type) and hasattr(one, "__dataclass_fields__")
    } | {
        certificates.Certificate,
        certificates.Revocation,
        certificates.AuthorityRecord,
        certificates.SigningIntent,
        identity.Credential,
        identity.CredentialSet,
        identity.TrustedCa,
        identity.FirstContact,
        identity.Denial,
        webhooks.Webhook,
        webhooks.Notice,
        metering.Usage,
    }
    assert {*SHAPES} == nouns
    assert {type(noun) for noun in EVERY_NOUN} == nouns - {model.Event}
    assert all(fields(noun) for noun in nouns)
