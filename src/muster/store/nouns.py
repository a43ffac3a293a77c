"""Which noun lives in which table; a new one is a dataclass of the core, a Table, a line, a migration."""

from typing import Any

from muster.core import certificates, identity, metering, model, webhooks
from muster.store import proofs, tables
from muster.store.columns import metadata
from muster.store.rows import Shape, shape_of

SCHEMA = metadata
"""All tables: importing tables.py and proofs.py has written them in."""

# Parents before children: rows of one call are inserted in this order.
SHAPES: dict[type[Any], Shape] = {
    shape.noun: shape
    for shape in (
        shape_of(model.User, tables.users, is_tallied=True),
        shape_of(model.Tenant, tables.tenants, is_tallied=True),
        shape_of(model.Group, tables.groups, is_tallied=True),
        shape_of(model.Device, tables.devices, is_tallied=True),
        shape_of(model.Channel, tables.channels, is_tallied=True),
        shape_of(model.Connection, tables.connections),
        shape_of(model.Role, tables.roles),
        shape_of(model.Member, tables.members),
        shape_of(model.Invitation, tables.invitations),
        shape_of(model.ApiKey, tables.api_keys),
        shape_of(model.BootstrapConfig, tables.bootstrap_configs, is_tallied=True),
        shape_of(model.ProvisionRecord, tables.provision_records, is_tallied=True),
        shape_of(model.JournalEntry, tables.journal, is_tallied=True),
        shape_of(model.StoredReply, tables.stored_replies),
        shape_of(model.MasterKey, tables.master_keys),
        shape_of(model.Event, tables.events),
        shape_of(model.Presence, tables.presences),
        shape_of(model.ClientIdClaim, tables.client_id_claims),
        shape_of(certificates.Certificate, proofs.certificates, is_tallied=True),
        shape_of(certificates.Revocation, proofs.revocations),
        shape_of(certificates.AuthorityRecord, proofs.authorities),
        shape_of(certificates.SigningIntent, proofs.signing_intents),
        shape_of(identity.Credential, proofs.credentials),
        shape_of(identity.CredentialSet, proofs.credential_sets),
        shape_of(identity.TrustedCa, proofs.trusted_cas),
        shape_of(identity.FirstContact, proofs.first_contacts),
        shape_of(identity.Denial, proofs.denials),
        shape_of(webhooks.Webhook, tables.webhooks),
        shape_of(webhooks.Notice, tables.notices),
        shape_of(metering.Usage, tables.usages),
    )
}
RANK = {noun: rank for rank, noun in enumerate(SHAPES)}
