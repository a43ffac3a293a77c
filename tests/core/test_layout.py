"""A layout is a value whose digest says whether two calls make the same things."""

from dataclasses import replace

from muster.core.layout import DEFAULT, KeyType, Layout, LayoutChannel, LayoutDevice, default


def a_layout(**changes):
    return replace(
        Layout(
            devices=(
                LayoutDevice(name="gateway", metadata={"external_id": "x", "b": 1}),
                LayoutDevice(name="sensor"),
            ),
            channels=(LayoutChannel(name="in", metadata={"type": "control"}),),
            content={"agent": {"qos": 0}},
        ),
        **changes,
    )


def test_without_a_file_there_is_one_device_and_two_channels():
    """Upstream's default layout, spec C.2."""
    assert [(each.name, dict(each.metadata)) for each in DEFAULT.devices] == [("client", {"external_id": ""})]
    assert [(each.name, each.type) for each in DEFAULT.channels] == [
        ("control-channel", "control"),
        ("data-channel", "data"),
    ]
    assert (DEFAULT.makes_bootstrap, DEFAULT.is_whitelisted, DEFAULT.makes_certificates) == (
        True,
        True,
        False,
    )


def test_a_digest_does_not_depend_on_the_order_of_keys():
    """Metadata is an unordered object."""
    other = LayoutDevice(name="gateway", metadata={"b": 1, "external_id": "x"})
    assert a_layout(devices=(other, a_layout().devices[1])).digest() == a_layout().digest()
    assert len(a_layout().digest()) == 32


def test_whatever_decides_the_objects_decides_the_digest():
    """Two layouts that make different things never share a digest."""
    layouts = [
        a_layout(),
        a_layout(content=None),
        a_layout(content={}),
        a_layout(makes_bootstrap=False),
        a_layout(is_whitelisted=False),
        a_layout(makes_certificates=True),
        a_layout(makes_certificates=True, key_type=KeyType.RSA, key_bits=2048),
        a_layout(devices=tuple(reversed(a_layout().devices))),
        a_layout(channels=(LayoutChannel(name="in", metadata={"type": "data"}),)),
        a_layout(channels=(*a_layout().channels, LayoutChannel(name="in"))),
        DEFAULT,
        default("thing"),
    ]
    assert len({layout.digest() for layout in layouts}) == len(layouts)


def test_a_longer_certificate_is_no_other_layout():
    """The lifetime may change between a call and its repetition without making it a conflict."""
    longer = a_layout(makes_certificates=True, certificate_ttl_hours=48)
    assert longer.digest() == a_layout(makes_certificates=True).digest()
    assert a_layout(key_bits=384).digest() == a_layout().digest()  # no certificate, no key


def test_the_digest_stays_the_same_over_releases():
    """It is stored with every mapping, so a change of it turns every repetition into a conflict."""
    assert DEFAULT.digest().hex() == "d4cdb19701d4a0d26a09777d5c22b0562c2f28c8fa794272296181567111ac43"


def test_the_first_device_that_asks_gets_the_bootstrap_configuration():
    """One external id has one configuration, whatever the layout says (spec C.6, 4)."""
    marked = LayoutDevice(name="second", metadata={"external_id": ""})
    both = a_layout(devices=(a_layout().devices[1], marked, a_layout().devices[0]))
    assert both.bootstrap_device == marked
    assert replace(both, makes_bootstrap=False).bootstrap_device is None
    assert a_layout(devices=(LayoutDevice(name="none"),)).bootstrap_device is None


def test_a_channel_type_that_is_no_text_means_nothing():
    """Metadata may hold anything; only text orders channels."""
    assert LayoutChannel(name="in", metadata={"type": 7}).type == ""
