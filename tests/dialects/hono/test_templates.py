"""Names and chains of devices that provision themselves: templates, string types, intermediates."""

import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from muster.core.errors import (
    Conflict,
    Malformed,
    Unauthenticated,
)
from tests.ca.pki import Foreign, subject
from tests.dialects.hono.desk import Door, b64
from tests.dialects.hono.plant import OPEN, leaf, plant, unique

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("template", "name", "wanted"),
    [
        ("{{subject-cn}}", subject("pump-9"), "pump-9"),
        ("dev-{{subject-ou}}-{{subject-cn}}", subject("p", ou="line"), "dev-line-p"),
        ("{{subject-cn}}", subject("a$1b"), Malformed),
        ("{{subject-cn}}", subject("{{subject-o}}", o="x"), Malformed),
        ("{{subject-dn}}", subject("only"), "CN=only"),
        ("{{subject-dn}}", subject("two", o="x"), Malformed),
        ("{{subject-ou}}", subject("none"), Malformed),
        ("{{serial-number}}", subject("s"), str),
        ("{{fingerprint}}", subject("s"), str),
    ],
)
async def test_ids_come_from_templates(door: Door, template, name, wanted):
    """Filled in once; what breaks the rule for ids creates nothing (H 11)."""
    here = await plant(door, **OPEN, **{"auto-provisioning-device-id-template": template})
    certificate = leaf(here.ca, subject=name)
    if wanted is Malformed:
        assert Malformed is await here.refused(certificate)
        assert 0 == await here.total()
    else:
        device_id = (await here.knock(certificate)).device.id
        assert device_id if wanted is str else wanted == device_id


async def test_two_subjects_cannot_share_a_device(door: Door):
    """The second is a conflict, the first stays in."""
    here = await plant(door, **OPEN, **{"auto-provisioning-device-id-template": "{{subject-cn}}"})
    await here.knock(leaf(here.ca, subject=subject("p", o="one")))
    assert Conflict is await here.refused(leaf(here.ca, subject=subject("p", o="two")))
    await here.knock(leaf(here.ca, subject=subject("p", o="one")))


async def test_an_auth_id_template_outlives_the_subject(door: Door):
    """A renewed certificate with another unit is the same device (F 11)."""
    here = await plant(door, **OPEN, **{"auth-id-template": "{{subject-cn}}"})
    one = await here.knock(leaf(here.ca, subject=subject("p", ou="one")))
    two = await here.knock(leaf(here.ca, subject=subject("p", ou="two")))
    assert one.device.id == two.device.id
    (credential,) = (await door("GET", f"/v1/credentials/{here.tenant}/{one.device.id}")).json()
    assert "p" == credential["auth-id"]


@pytest.mark.parametrize(
    ("template", "wanted"),
    [("{{subject-cn}}", "p"), ("{{subject-ou}}/{{subject-cn}}", "one/p"), ("{{subject-ou}}", "one")],
)
async def test_an_uploaded_certificate_gets_the_auth_id_of_the_template(door: Door, template, wanted):
    """The registry applies the template of the CA that issued it, so the device gets in (spec A.7, H 13)."""
    here = await plant(door, **{"auth-id-template": template})
    certificate = leaf(here.ca, subject=subject("p", ou="one"))
    device = f"/{here.tenant}/d"
    await door("POST", f"/v1/devices{device}")
    uploaded = [{"type": "x509-cert", "cert": b64(certificate)}]
    assert 204 == (await door("PUT", f"/v1/credentials{device}", json=uploaded)).status_code
    (credential,) = (await door("GET", f"/v1/credentials{device}")).json()
    assert wanted == credential["auth-id"]
    assert "d" == (await here.knock(certificate)).device.id


async def test_an_uploaded_certificate_must_have_what_the_template_asks_for(door: Door):
    """Else nobody could ever log in with it: 400; so in bulk."""
    here = await plant(door, **{"auth-id-template": "{{subject-ou}}"})
    uploaded = [{"type": "x509-cert", "cert": b64(leaf(here.ca, subject=subject("p")))}]
    await door("POST", f"/v1/devices/{here.tenant}/d")
    answers = [
        await door("PUT", f"/v1/credentials/{here.tenant}/d", json=uploaded),
        await door("POST", f"/v1/bulk/devices/{here.tenant}", json=[{"id": "e", "credentials": uploaded}]),
    ]
    assert [400, 400] == [answer.status_code for answer in answers]
    assert 1 == await here.total()


@pytest.mark.parametrize("typed", ["CN=p,O=ACME", "cn = P , o=acme"])
@pytest.mark.parametrize("template", ["{{subject-dn}}", "CN={{subject-cn}},O={{subject-o}}"])
async def test_a_template_that_gives_a_name_is_compared_as_one(door: Door, template, typed):
    """However the operator typed the name, it is the one the template makes."""
    here = await plant(door, **{"auth-id-template": template})
    device = f"/{here.tenant}/d"
    await door("POST", f"/v1/devices{device}")
    typed_in = [{"type": "x509-cert", "auth-id": typed, "secrets": [{}]}]
    assert 204 == (await door("PUT", f"/v1/credentials{device}", json=typed_in)).status_code
    assert "d" == (await here.knock(leaf(here.ca, subject=subject("p", o="ACME")))).device.id


@pytest.mark.parametrize("denied", ["CN=p,O=ACME", "cn = P, o=acme", "p"])
async def test_a_denial_names_the_subject_or_what_the_template_makes_of_it(door: Door, denied):
    """Either keeps the device out; without the denial it is in."""
    here = await plant(door, **OPEN, **{"auth-id-template": "{{subject-cn}}"})
    certificate, path = leaf(here.ca, subject=subject("p", o="ACME")), f"/v1/denials/{here.tenant}"
    assert 204 == (await door("POST", path, json={"subject-dn": denied})).status_code
    assert Unauthenticated is await here.refused(certificate)
    assert 204 == (await door("POST", f"{path}/remove", json={"subject-dn": denied})).status_code
    await here.knock(certificate)


async def test_certificates_without_a_subject_are_not_one_device(door: Door):
    """Who is named in a SAN alone is refused, unless the CA's template says which name counts."""
    nobody = x509.Name([])
    here = await plant(door, **OPEN)
    assert Unauthenticated is await here.refused(leaf(here.ca, subject=nobody))
    named = await plant(door, **OPEN, **{"auth-id-template": "{{fingerprint}}"})
    one, two = [await named.knock(leaf(named.ca, subject=nobody)) for _ in range(2)]
    assert one.device.id != two.device.id


async def test_a_name_is_the_same_in_any_string_type(door: Door):
    """UTF8String, PrintableString and BMPString of one text name one device (H 12)."""
    from cryptography.x509.name import _ASN1Type  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    here = await plant(door)
    seen = set()
    for kind in (_ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BMPString):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pump One", _type=kind)])
        seen.add((await here.knock(leaf(here.ca, subject=name))).device.id)
    assert 1 == len(seen)


async def test_intermediates_may_stand_between(door: Door):
    """Device certificates of a sub-CA lead to the tenant's CA when the device sends it along (H 3)."""
    here = await plant(door)
    line = Foreign(unique("Line"), above=here.ca)
    assert Unauthenticated is await here.refused(leaf(line))
    assert (await here.knock(leaf(line), line.der)).tenant.id == here.tenant
    assert (await here.knock(leaf(line, "pump-2"), line.der, here.ca.der)).tenant.id == here.tenant


async def test_rsa_works_as_well(door: Door):
    """CA and device."""
    key = rsa.generate_private_key(65537, 2048)
    here = await plant(door, ca=Foreign(unique("RSA"), key))
    assert (await here.knock(leaf(here.ca, public_key=key.public_key()))).tenant.id == here.tenant


async def test_tenants_that_share_a_ca_are_told_apart_by_sni(door: Door):
    """By id or alias as the first label; without it nobody is let in (C.1)."""
    ca, group = Foreign(unique("Shared")), {"trust-anchor-group": "sharing"}
    alias = f"a{uuid.uuid4().hex[:8]}"
    one = await plant(door, ca=ca, tenant=group)
    two = await plant(door, ca=ca, tenant={**group, "alias": alias})
    certificate = leaf(ca)
    assert Unauthenticated is await one.refused(certificate)
    assert Unauthenticated is await one.refused(certificate, sni="localhost")
    assert one.tenant == (await one.knock(certificate, sni=f"{one.tenant}.iot.example")).tenant.id
    assert two.tenant == (await two.knock(certificate, sni=f"{alias}.iot.example")).tenant.id
