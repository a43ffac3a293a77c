"""`muster clients`, `channels`, `groups` and `bootstrap`: what is in a domain."""

from typing import Final

from muster.cli.declare import LIST, Field, Kind, Verb, group, lists
from muster.cli.fetch import fetch
from muster.cli.watch import watch

_TAGS: Final = Field("--tag", "tags", "Tag; may be given several times.", Kind.TEXTS)
_METADATA: Final = Field("--metadata", "metadata", "Free-form object; it is replaced as a whole.", Kind.JSON)
_NEW_NAME: Final = Field("--name", "name", "Name.")
_GROUP: Final = Field("--group", "parent_group_id", "Group to put it into.")
_STATUS: Final = Field("--status", "status", "Status to begin with.", choices=("enabled", "disabled"))
_KINDS: Final = Field(
    "--type", "connection_type", "Only connections of that kind.", choices=("publish", "subscribe")
)
_ID: Final = Field("--id", "id", "Id; without it one is made.")
_OF_GROUP: Final = Field("--group", "group", "In that group.")
_CLIENT_COLUMNS: Final = (
    "id",
    "name",
    "status",
    "credentials.identity",
    "tags",
    "parent_group_id",
    "updated_at",
)
_CHANNEL_COLUMNS: Final = ("id", "name", "status", "route", "tags", "parent_group_id", "updated_at")


def _common(noun: str, base: str) -> dict[str, Verb]:
    """Declare the verbs that clients and channels have in common."""
    one = f"{base}/{{id}}"
    parent = (Field("GROUP", "parent_group_id"),)
    tags = (Field("TAG", "tags", kind=Kind.TEXTS, is_required=True),)
    return {
        "get": Verb(name="get", method="GET", path=one, help=f"Show a {noun}."),
        "update": Verb(
            name="update",
            method="PATCH",
            path=one,
            help=f"Change a {noun}'s name or metadata.",
            fields=(_NEW_NAME, _METADATA),
            takes_file=True,
        ),
        "tags": Verb(name="tags", method="PATCH", path=f"{one}/tags", help="Replace the tags.", fields=tags),
        "enable": Verb(
            name="enable", method="POST", path=f"{one}/enable", help=f"Let the {noun} take part again."
        ),
        "disable": Verb(
            name="disable",
            method="POST",
            path=f"{one}/disable",
            help=f"Keep the {noun} out, everywhere and at once.",
        ),
        "group": Verb(
            name="group",
            method="POST",
            path=f"{one}/parent",
            help=f"Put the {noun} into a group.",
            fields=parent,
            said="{id} is in the group",
        ),
        "ungroup": Verb(
            name="ungroup",
            method="DELETE",
            path=f"{one}/parent",
            help=f"Take the {noun} out of its group.",
            said="{id} is in no group",
        ),
        "delete": Verb(
            name="delete",
            method="DELETE",
            path=one,
            help=f"Delete the {noun} and what hangs on it.",
            said="{id} is deleted",
        ),
    }


_CLIENTS: Final = "/{domain}/clients"
_CHANNELS: Final = "/{domain}/channels"
_GROUPS: Final = "/{domain}/groups"
_CONFIGS: Final = "/{domain}/clients/configs"

clients = group(
    "clients",
    "Clients: the devices of a domain.",
    Verb(
        name="create",
        method="POST",
        path=_CLIENTS,
        help="Create a client; a secret is made unless one is given.",
        fields=(
            _NEW_NAME,
            _ID,
            Field("--identity", "credentials.identity", "Another name it is known by."),
            Field(
                "--secret",
                "credentials.secret",
                "Secret it logs in with; without it one is made.",
                Kind.SECRET,
            ),
            _TAGS,
            _METADATA,
            _GROUP,
            _STATUS,
        ),
        takes_file=True,
    ),
    lists(
        _CLIENTS,
        "List clients.",
        Field("--channel", "channel", "Connected to that channel."),
        _KINDS,
        _OF_GROUP,
        Field("--identity", "identity", "Part of the identity."),
        columns=_CLIENT_COLUMNS,
    ),
    *_common("client", _CLIENTS).values(),
    Verb(
        name="secret",
        method="PATCH",
        path=_CLIENTS + "/{id}/secret",
        help="Give a client another secret; the old one ends at once everywhere.",
        fields=(Field("--secret", "secret", "The new secret.", Kind.SECRET, is_required=True),),
    ),
    lists(
        _CLIENTS + "/{id}/channels",
        "List the channels a client is connected to.",
        _KINDS,
        columns=_CHANNEL_COLUMNS,
        name="channels",
    ),
    watch,
)

channels = group(
    "channels",
    "Channels: where devices meet.",
    Verb(
        name="create",
        method="POST",
        path=_CHANNELS,
        help="Create a channel.",
        fields=(
            _NEW_NAME,
            _ID,
            Field("--route", "route", "Short name for topics."),
            _TAGS,
            _METADATA,
            _GROUP,
            _STATUS,
        ),
        takes_file=True,
    ),
    lists(
        _CHANNELS,
        "List channels.",
        Field("--client", "client", "That client is connected to."),
        _KINDS,
        _OF_GROUP,
        columns=_CHANNEL_COLUMNS,
    ),
    *_common("channel", _CHANNELS).values(),
    lists(
        _CHANNELS + "/{id}/clients",
        "List the clients connected to a channel.",
        _KINDS,
        columns=_CLIENT_COLUMNS,
        name="clients",
    ),
)

groups = group(
    "groups",
    "Groups: a tree that clients and channels hang on.",
    Verb(
        name="create",
        method="POST",
        path=_GROUPS,
        help="Create a group.",
        fields=(
            Field("NAME", "name"),
            Field("--description", "description", "What it is for."),
            Field("--parent", "parent_id", "Group to hang it under."),
            _TAGS,
            _METADATA,
        ),
        takes_file=True,
    ),
    lists(_GROUPS, "List groups.", columns=("id", "name", "status", "parent_id", "level", "description")),
    Verb(name="get", method="GET", path=_GROUPS + "/{id}", help="Show a group."),
    Verb(
        name="update",
        method="PUT",
        path=_GROUPS + "/{id}",
        help="Change a group.",
        fields=(_NEW_NAME, Field("--description", "description", "What it is for."), _METADATA),
        takes_file=True,
    ),
    Verb(name="enable", method="POST", path=_GROUPS + "/{id}/enable", help="Enable a group."),
    Verb(name="disable", method="POST", path=_GROUPS + "/{id}/disable", help="Disable a group."),
    Verb(
        name="hierarchy",
        method="GET",
        path=_GROUPS + "/{id}/hierarchy",
        help="Show what is above or below a group.",
        query=(
            Field("--level", "level", "How many levels, 0 to 5.", Kind.NUMBER),
            Field("--direction", "dir", "ancestors (-1) or descendants (1).", choices=("-1", "1")),
        ),
    ),
    lists(
        _GROUPS + "/{id}/children",
        "List a group's children.",
        columns=("id", "name", "status", "level"),
        name="children",
    ),
    Verb(
        name="parent",
        method="POST",
        path=_GROUPS + "/{id}/parent",
        help="Hang a group under another.",
        fields=(Field("PARENT", "parent_id"),),
        said="{id} hangs under it",
    ),
    Verb(
        name="unparent",
        method="DELETE",
        path=_GROUPS + "/{id}/parent",
        help="Make a group a root.",
        said="{id} is a root",
    ),
    Verb(
        name="delete", method="DELETE", path=_GROUPS + "/{id}", help="Delete a group.", said="{id} is deleted"
    ),
)

_PEM: Final = (
    Field("--client-cert", "client_cert", "Its certificate, PEM.", Kind.FILE),
    Field("--client-key", "client_key", "The key of it, PEM.", Kind.FILE),
    Field("--ca-cert", "ca_cert", "The authority it trusts, PEM.", Kind.FILE),
)

configs = group(
    "configs",
    "Bootstrap configurations: what a device fetches with its external id and key.",
    Verb(
        name="create",
        method="POST",
        path=_CONFIGS,
        help="Prepare a device's first fetch; without --client a client is made.",
        fields=(
            Field("EXTERNAL_ID", "external_id"),
            Field("--key", "external_key", "The device's external key.", Kind.SECRET, is_required=True),
            Field(
                "--channel", "channels", "Channel; may be given several times.", Kind.TEXTS, is_required=True
            ),
            Field("--client", "client_id", "Client it is for."),
            Field("--name", "name", "Name."),
            Field("--content", "content", "What the device gets besides, any text."),
        ),
        takes_file=True,
        said="prepared",
    ),
    Verb(
        name="list",
        method="GET",
        path=_CONFIGS,
        help="List configurations.",
        query=(
            Field("--state", "state", "0 silent, 1 whitelisted.", choices=("0", "1")),
            Field("--external-id", "external_id", "That external id."),
            Field("--client", "client_id", "Of that client."),
            LIST[0],
        ),
        columns=("client_id", "external_id", "name", "state"),
        is_list=True,
    ),
    Verb(name="get", method="GET", path=_CONFIGS + "/{client}", help="Show a configuration."),
    Verb(
        name="update",
        method="PUT",
        path=_CONFIGS + "/{client}",
        help="Change name or content.",
        fields=(_NEW_NAME, Field("--content", "content", "What the device gets besides.")),
        takes_file=True,
        said="the configuration of {client} is changed",
    ),
    Verb(
        name="certs",
        method="PATCH",
        path=_CONFIGS + "/certs/{client}",
        help="Put certificates into a configuration.",
        fields=_PEM,
        takes_file=True,
    ),
    Verb(
        name="connections",
        method="PUT",
        path=_CONFIGS + "/connections/{client}",
        help="Put other channels into a configuration.",
        fields=(Field("CHANNEL", "channels", kind=Kind.TEXTS, is_required=True),),
        said="the configuration of {client} has these channels",
    ),
    Verb(
        name="delete",
        method="DELETE",
        path=_CONFIGS + "/{client}",
        help="Delete a configuration; the client stays.",
        said="the configuration of {client} is deleted",
    ),
)


bootstrap = group(
    "bootstrap",
    "The first minutes of a device's life.",
    configs,
    Verb(
        name="state",
        method="PUT",
        path="/{domain}/clients/state/{client}",
        help="Whitelist a client (active: connect it to all channels of its configuration) or silence it.",
        fields=(Field("STATE", "state", values={"active": 1, "inactive": 0}),),
        said="{client} is changed",
    ),
    fetch,
)
