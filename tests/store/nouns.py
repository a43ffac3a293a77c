"""Nouns for tests, complete but for what a test is about."""

from typing import Any

from muster.core import certificates as c
from muster.core import identity as i
from muster.core import metering as g
from muster.core import model as m
from muster.core import webhooks as w

T1, T2 = m.TenantId("t-one"), m.TenantId("t-two")
AT = m.Instant(1_750_000_000_000_000)


def device(own_id: str, **over: Any) -> m.Device:
    return m.Device(
        **{"id": m.DeviceId(own_id), "tenant_id": T1, "created_at": AT, "created_by": "u1"} | over
    )


def channel(own_id: str, **over: Any) -> m.Channel:
    return m.Channel(
        **{"id": m.ChannelId(own_id), "tenant_id": T1, "created_at": AT, "created_by": "u1"} | over
    )


def group(own_id: str, **over: Any) -> m.Group:
    return m.Group(**{"id": m.GroupId(own_id), "tenant_id": T1, "created_at": AT, "created_by": "u1"} | over)


def connection(channel_id: str, device_id: str, **over: Any) -> m.Connection:
    given = {"tenant_id": T1, "channel_id": channel_id, "device_id": device_id, "flow": m.Flow.BOTH}
    return m.Connection(**given | over)


def config(device_id: str, external_id: str, key: str = "key", **over: Any) -> m.BootstrapConfig:
    given = {
        "tenant_id": T1,
        "device_id": m.DeviceId(device_id),
        "external_id": external_id,
        "external_key": m.Secret(key),
        "created_at": AT,
    }
    return m.BootstrapConfig(**given | over)


def record(external_id: str, **over: Any) -> m.ProvisionRecord:
    given = {
        "tenant_id": T1,
        "external_id": external_id,
        "request_digest": b"r" * 32,
        "device_ids": (),
        "channel_ids": (),
        "answer": m.Secret('{"a": 1}'),
        "created_at": AT,
    }
    return m.ProvisionRecord(**given | over)


def user(own_id: str, **over: Any) -> m.User:
    given = {
        "id": m.UserId(own_id),
        "username": f"name-{own_id}",
        "email": f"{own_id}@example.com",
        "password": "$argon2id$x",
        "personal_tenant": m.TenantId(f"home-{own_id}"),
        "created_at": AT,
    }
    return m.User(**given | over)


def tenant(own_id: str, **over: Any) -> m.Tenant:
    return m.Tenant(**{"id": m.TenantId(own_id), "created_at": AT} | over)


def role(own_id: str, entity_kind: m.Kind, entity_id: str, *actions: str, **over: Any) -> m.Role:
    given = {
        "id": m.RoleId(own_id),
        "tenant_id": T1,
        "entity_kind": entity_kind,
        "entity_id": entity_id,
        "name": own_id,
        "actions": actions,
        "created_at": AT,
    }
    return m.Role(**given | over)


def member(role_id: str, user_id: str, **over: Any) -> m.Member:
    return m.Member(**{"tenant_id": T1, "role_id": role_id, "user_id": user_id} | over)


def entry(own_id: str, **over: Any) -> m.JournalEntry:
    given = {
        "id": own_id,
        "tenant_id": T1,
        "at": AT,
        "actor": "u1",
        "operation": "device.create",
        "entity_kind": m.Kind.DEVICE,
        "entity_id": "d1",
    }
    return m.JournalEntry(**given | over)


def event(key: str, topic: str = "rights", **over: Any) -> m.Event:
    return m.Event(
        **{"topic": topic, "tenant_id": T1, "key": key, "payload": {"n": 1}, "created_at": AT} | over
    )


EVERY_NOUN: tuple[Any, ...] = (
    user("u1", tags=("a", "ü"), metadata={"k": [1, {"x": None}]}, is_admin=True, epoch=3),
    tenant(T1, alias="one", extensions={"hono": {"enabled": True}}, max_devices=5),
    group("g1", description="d", tags=("t",), metadata={"deep": {"er": ["x", 1.5]}}),
    device(
        "d1",
        name="näme",
        secret=m.Secret("s3cret"),
        status=m.Status.DISABLED,
        tags=("a", "b"),
        metadata={"k": True, "z": 2**53},
        group_id="g1",
        mapping_id="x1",
        via=("gw",),
        extensions={"hono": {}},
        revision=7,
        updated_at=m.Instant(5),
        updated_by="u2",
    ),
    channel("c1", route="r1", metadata={"type": "control"}),
    connection("c1", "d1", flow=m.Flow.SUBSCRIBE),
    role("r1", m.Kind.TENANT, T1, "read", "update", is_builtin=True),
    member("r1", "u1"),
    m.Invitation(
        tenant_id=T1, user_id=m.UserId("u9"), role_id=m.RoleId("r1"), invited_by=m.UserId("u1"), created_at=AT
    ),
    m.ApiKey(
        id=m.KeyId("k1"),
        user_id=m.UserId("u1"),
        digest=b"d" * 32,
        scope=[{"a": 1}],
        is_personal=True,
        issued_at=AT,
    ),
    config("d1", "x1", channels=("c1",), client_key=m.Secret("pem"), content="{}"),
    record("x1", device_ids=("d1",), channel_ids=("c1",)),
    entry("j1", details={"was": None}),
    m.StoredReply(
        id="i1",
        body_digest=b"b" * 32,
        status=201,
        headers={"Location": "/x"},
        body=m.Secret("{}"),
        created_at=AT,
    ),
    m.Presence(
        tenant_id=T1, device_id=m.DeviceId("d1"), connected_at=AT, protocol="mqtt", source="127.0.0.1"
    ),
    m.ClientIdClaim(id="mqtt-1", tenant_id=T1, device_id=m.DeviceId("d1"), created_at=AT),
    c.Certificate(
        id="7f01",
        tenant_id=T1,
        device_id=m.DeviceId("d1"),
        certificate="PEM",
        chain="PEM above",
        key=m.Secret("key pem"),
        key_digest=b"k" * 32,
        fingerprint=b"f" * 32,
        issuer_id="ca1",
        not_before=AT,
        not_after=m.Instant(AT + 1),
        created_by="u1",
        created_at=AT,
        revoked_at=m.Instant(AT + 2),
        reason=4,
        warned_at=AT,
    ),
    c.Revocation(id="7f01", issuer_id="ca1", revoked_at=AT, reason=1, not_after=AT),
    c.AuthorityRecord(
        id="issuing-ca1",
        role="issuing",
        certificate="PEM",
        material=m.Secret("key"),
        not_after=AT,
        created_at=AT,
    ),
    c.SigningIntent(id="i1", tenant_id=T1, device_id=m.DeviceId("d1"), key_digest=b"k" * 32, created_at=AT),
    i.Credential(
        tenant_id=T1,
        type="hashed-password",
        auth_id="sensor",
        auth_key="sensor",
        device_id=m.DeviceId("d1"),
        is_enabled=False,
        extensions={"client-id": "c"},
        comment="first",
        secrets=i.sealable([i.Proof(id="s1", verifier="v", not_after=AT)]),
        place=3,
        created_at=AT,
    ),
    i.CredentialSet(tenant_id=T1, device_id=m.DeviceId("d1"), revision=2),
    i.TrustedCa(
        tenant_id=T1,
        id=i.CaId("ca"),
        subject_dn="CN=ca",
        subject_key="2.5.4.3=ca",
        subject_der=b"name",
        spki_der=b"key",
        algorithm="EC",
        not_before=AT,
        not_after=m.Instant(AT + 1),
        is_provisioning=True,
        reissue=i.Reissue.NONE,
        anchor_group="g",
        created_at=AT,
    ),
    i.FirstContact(
        tenant_id=T1, device_id=m.DeviceId("d1"), ca_id="ca", auth_id="CN=d", serial="7f", created_at=AT
    ),
    i.Denial(tenant_id=T1, key="x509-cert:k", name="CN=d", created_by="u1", created_at=AT),
    w.Webhook(
        tenant_id=T1,
        url="https://example.com/hook",
        topics=("device.created",),
        secret=m.Secret("whsec_c2VjcmV0"),
        former_secret=m.Secret("whsec_b2xk"),
        former_until=AT,
        is_enabled=False,
        failures=3,
        last_error="HTTP 500",
        created_at=AT,
    ),
    g.Usage(tenant_id=T1, what=g.Kind.BYTES, since=AT, amount=7),
    m.MasterKey(id="0badcafe", hash_key=m.Secret("a2V5"), created_at=AT, retired_at=AT),
    w.Notice(tenant_id=T1, id="msg_1", topic="device.created", key="d1", data={"a": 1}, created_at=AT),
)
