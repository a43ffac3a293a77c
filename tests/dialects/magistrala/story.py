"""One story that calls every operation of the door once, in an order in which each succeeds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.dialects.magistrala.harness import PASSWORD, Muster, Person

NOBODY = "nobody"


@dataclass(frozen=True)
class Step:
    """A request; {names} in it stand for what earlier steps saved. *status* is what it must answer."""

    operation: str
    method: str
    path: str
    status: int
    body: Any = None
    who: str = "owner"
    saves: Mapping[str, str] = field(default_factory=dict)
    """By name, where in the answer it is found: `clients.0.id`."""


def _roles(word: str, base: str) -> list[Step]:
    """Give the same steps for each of the four sub-trees."""
    one = f"{base}/roles/{{role}}"
    members = {"members": ["{friend}"]}
    return [
        Step(f"availableActionsOf{word}", "GET", f"{base}/roles/available-actions", 200),
        Step(
            f"createRoleOf{word}",
            "POST",
            f"{base}/roles",
            201,
            {"role_name": "viewers", "optional_actions": ["read"], "optional_members": ["{friend}"]},
            saves={"role": "id"},
        ),
        Step(f"listRolesOf{word}", "GET", f"{base}/roles?limit=1&offset=1", 200),
        Step(f"getRoleOf{word}", "GET", one, 200),
        Step(f"updateRoleOf{word}", "PUT", one, 200, {"name": "readers"}),
        Step(f"addRoleActionsOf{word}", "POST", f"{one}/actions", 200, {"actions": ["update", "delete"]}),
        Step(f"listRoleActionsOf{word}", "GET", f"{one}/actions", 200),
        Step(f"deleteRoleActionsOf{word}", "POST", f"{one}/actions/delete", 204, {"actions": ["delete"]}),
        Step(f"clearRoleActionsOf{word}", "POST", f"{one}/actions/delete-all", 204),
        Step(f"addRoleMembersOf{word}", "POST", f"{one}/members", 200, members),
        Step(f"listRoleMembersOf{word}", "GET", f"{one}/members", 200),
        Step(f"listMembersOf{word}", "GET", f"{base}/roles/members", 200),
        Step(f"deleteRoleMembersOf{word}", "POST", f"{one}/members/delete", 204, members),
        Step(f"clearRoleMembersOf{word}", "POST", f"{one}/members/delete-all", 204),
        Step(f"removeMembersOf{word}", "DELETE", f"{base}/roles/members", 204, {"member_ids": ["{friend}"]}),
        Step(f"deleteRoleOf{word}", "DELETE", one, 204),
    ]


_JANE = {
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "janedoe@example.com",
    "credentials": {"username": "janedoe", "secret": PASSWORD},
    "status": "enabled",
}
_CLIENTS = {"client_ids": ["{spare}"], "types": ["publish"]}
_SET = {"channel_ids": ["{channel}"], "client_ids": ["{spare}"], "types": ["subscribe"]}
_PAIR = {"channel_ids": ["{channel}"], "client_ids": ["{client}"], "types": ["Publish", "subscribe"]}
_SCOPE = {"optional_domain_id": "{domain}", "entity_type": "clients", "operation": "read", "entity_id": "*"}

STORY = [
    # users
    Step("createUser", "POST", "/users", 201, _JANE, NOBODY, {"jane": "id"}),
    Step(
        "issueToken",
        "POST",
        "/users/tokens/issue",
        201,
        {"username": "janedoe", "password": PASSWORD},
        NOBODY,
    ),
    Step("refreshToken", "POST", "/users/tokens/refresh", 201, {}, "refresh"),
    Step("getProfile", "GET", "/users/profile", 200),
    Step("getUser", "GET", "/users/{jane}", 200),
    Step("listUsers", "GET", "/users?username=jane", 200, who="admin"),
    Step("searchUsers", "GET", "/users/search?username=janed", 200),
    Step("updateUser", "PATCH", "/users/{jane}", 200, {"first_name": "Janet", "metadata": {"a": 1}}, "admin"),
    Step("updateUsername", "PATCH", "/users/{jane}/username", 200, {"username": "janet"}, "admin"),
    Step("updateUserTags", "PATCH", "/users/{jane}/tags", 200, {"tags": ["x", "y"]}, "admin"),
    Step("updateEmail", "PATCH", "/users/{jane}/email", 200, {"email": "Janet@example.com"}, "admin"),
    Step(
        "updatePicture", "PATCH", "/users/{jane}/picture", 200, {"profile_picture": "https://a.b/c"}, "admin"
    ),
    Step("updateUserRole", "PATCH", "/users/{jane}/role", 200, {"role": "admin"}, "admin"),
    Step("disableUser", "POST", "/users/{jane}/disable", 200, who="admin"),
    Step("enableUser", "POST", "/users/{jane}/enable", 200, who="admin"),
    Step("recoverUser", "POST", "/users/{jane}/recovery", 201, who="admin", saves={"recovery": "token"}),
    Step("requestReset", "POST", "/password/reset-request", 201, {"email": "nobody@example.com"}, NOBODY),
    Step(
        "resetPassword",
        "PUT",
        "/password/reset",
        201,
        {"token": "{recovery}", "password": "another one", "confirm_password": "another one"},
        NOBODY,
    ),
    Step("listUserJournal", "GET", "/journal/user/{jane}?limit=3&dir=asc", 200, who="admin"),
    Step("deleteUser", "DELETE", "/users/{jane}", 204, who="admin"),
    # domains
    Step(
        "createDomain",
        "POST",
        "/domains",
        201,
        {"name": "Plant", "alias": "plant", "tags": ["t"], "metadata": {"a": {"b": 1}}},
        saves={"domain": "id"},
    ),
    # keys
    Step("createKey", "POST", "/keys", 201, {"type": 3, "duration": 3600}, saves={"key": "id"}),
    Step("getKey", "GET", "/keys/{key}", 200),
    Step("revokeKey", "DELETE", "/keys/{key}", 204),
    Step(
        "createPat",
        "POST",
        "/pats",
        201,
        {"name": "ci", "description": "d", "duration": "24h"},
        saves={"pat": "id"},
    ),
    Step("addPatScope", "PATCH", "/pats/{pat}/scope/add", 200, {"scopes": [_SCOPE]}),
    Step("listPatScopes", "GET", "/pats/{pat}/scopes", 200),
    Step("getPat", "GET", "/pats/{pat}", 200),
    Step("listPats", "GET", "/pats", 200),
    Step("updatePatName", "PATCH", "/pats/{pat}/name", 202, {"name": "build"}),
    Step("updatePatDescription", "PATCH", "/pats/{pat}/description", 202, {"description": "e"}),
    Step("resetPat", "PATCH", "/pats/{pat}/secret/reset", 200, {"duration": "48h"}),
    Step("revokePat", "PATCH", "/pats/{pat}/secret/revoke", 204),
    Step("removePatScope", "PATCH", "/pats/{pat}/scope/remove", 200, {"scopes": [_SCOPE]}),
    Step("clearPatScope", "DELETE", "/pats/{pat}/scope", 200),
    Step("deletePat", "DELETE", "/pats/{pat}", 204),
    Step("deletePats", "DELETE", "/pats", 204),
    Step("listDomains", "GET", '/domains?metadata={{"a":{{"b":1}}}}&role_name=admin', 200),
    Step("getDomain", "GET", "/domains/{domain}", 200),
    Step("updateDomain", "PATCH", "/domains/{domain}", 200, {"name": "Plant 2"}),
    Step("disableDomain", "POST", "/domains/{domain}/disable", 200),
    Step("enableDomain", "POST", "/domains/{domain}/enable", 200),
    *_roles("Domain", "/domains/{domain}"),
    Step("availableActionsOfAnyDomain", "GET", "/domains/roles/available-actions", 200),
    Step(
        "createRoleOfDomain2",
        "POST",
        "/domains/{domain}/roles",
        201,
        {"role_name": "guests", "optional_actions": ["read", "client_read"]},
        saves={"role": "id"},
    ),
    Step(
        "createInvitation",
        "POST",
        "/domains/{domain}/invitations",
        201,
        {"invitee_user_id": "{friend}", "role_id": "{role}"},
    ),
    Step("listInvitations", "GET", "/invitations?state=pending", 200, who="friend"),
    Step("listDomainInvitations", "GET", "/domains/{domain}/invitations", 200),
    Step("getInvitation", "GET", "/domains/{domain}/invitations/{friend}", 200),
    Step("rejectInvitation", "POST", "/invitations/reject", 204, {"domain_id": "{domain}"}, "friend"),
    Step(
        "createInvitation2",
        "POST",
        "/domains/{domain}/invitations",
        201,
        {"invitee_user_id": "{friend}", "role_id": "{role}"},
    ),
    Step("acceptInvitation", "POST", "/invitations/accept", 204, {"domain_id": "{domain}"}, "friend"),
    Step("deleteInvitation", "DELETE", "/domains/{domain}/invitations/{friend}", 204),
    Step("listDomainUsers", "GET", "/{domain}/users?order=username", 200),
    # clients
    Step("createClient", "POST", "/{domain}/clients", 201, {"name": "weio"}, saves={"client": "id"}),
    Step(
        "createClients",
        "POST",
        "/{domain}/clients/bulk",
        200,
        [
            {"name": "lightbulb", "credentials": {"identity": "bulb", "secret": "s3cret"}, "tags": ["home"]},
            {"name": "humidifier", "metadata": {"floor": 2}},
        ],
        saves={"spare": "clients.0.id"},
    ),
    Step("listClients", "GET", '/{domain}/clients?offset=0&limit=5&name="humidifier"', 200),
    Step("getClient", "GET", "/{domain}/clients/{client}", 200),
    Step("updateClient", "PATCH", "/{domain}/clients/{client}", 200, {"name": "weio2", "metadata": {"a": 1}}),
    Step("updateClientTags", "PATCH", "/{domain}/clients/{client}/tags", 200, {"tags": ["a"]}),
    Step("updateClientSecret", "PATCH", "/{domain}/clients/{client}/secret", 200, {"secret": "new secret"}),
    Step("disableClient", "POST", "/{domain}/clients/{client}/disable", 200),
    Step("enableClient", "POST", "/{domain}/clients/{client}/enable", 200),
    *_roles("Client", "/{domain}/clients/{client}"),
    Step("availableActionsOfAnyClient", "GET", "/{domain}/clients/roles/available-actions", 200),
    # channels
    Step("createChannel", "POST", "/{domain}/channels", 201, {"name": "mychan"}, saves={"channel": "id"}),
    Step("createChannels", "POST", "/{domain}/channels/bulk", 200, [{"name": "switch1"}, {"name": "truck2"}]),
    Step("listChannels", "GET", "/{domain}/channels?limit=1&order=name&dir=desc", 200),
    Step("getChannel", "GET", "/{domain}/channels/{channel}", 200),
    Step("updateChannel", "PATCH", "/{domain}/channels/{channel}", 200, {"metadata": {"b": [1]}}),
    Step("updateChannelTags", "PATCH", "/{domain}/channels/{channel}/tags", 200, {"tags": ["b"]}),
    Step("disableChannel", "POST", "/{domain}/channels/{channel}/disable", 200),
    Step("enableChannel", "POST", "/{domain}/channels/{channel}/enable", 200),
    *_roles("Channel", "/{domain}/channels/{channel}"),
    Step("availableActionsOfAnyChannel", "GET", "/{domain}/channels/roles/available-actions", 200),
    Step("connect", "POST", "/{domain}/channels/connect", 201, _PAIR),
    Step("listClientsOfChannel", "GET", "/{domain}/channels/{channel}/clients", 200),
    Step("listChannelsOfClient", "GET", "/{domain}/clients/{client}/channels", 200),
    Step("listChannelsOfClientAnywhere", "GET", "/clients/{client}/channels", 200),
    Step("disconnect", "POST", "/{domain}/channels/disconnect", 204, _PAIR),
    Step("connectClients", "POST", "/{domain}/channels/{channel}/connect", 201, _CLIENTS),
    Step("disconnectClients", "POST", "/{domain}/channels/{channel}/disconnect", 204, _CLIENTS),
    Step("putClients", "PUT", "/{domain}/channels/{channel}/connect", 201, _CLIENTS),
    Step("deleteClients", "DELETE", "/{domain}/channels/{channel}/disconnect", 204, _CLIENTS),
    Step("connectAll", "POST", "/{domain}/channels/connect/bulk", 201, [_SET]),
    # groups
    Step(
        "createGroup",
        "POST",
        "/{domain}/groups",
        201,
        {"name": "top", "description": "d", "metadata": {"g": 1}},
        saves={"group": "id"},
    ),
    Step(
        "createGroup2",
        "POST",
        "/{domain}/groups",
        201,
        {"name": "below", "parent_id": "{group}", "tags": ["t"]},
        saves={"child": "id"},
    ),
    Step("listGroups", "GET", "/{domain}/groups?root_group=true", 200),
    Step("getGroup", "GET", "/{domain}/groups/{child}", 200),
    Step("updateGroup", "PUT", "/{domain}/groups/{group}", 200, {"name": "summit"}),
    Step("updateGroupTags", "PATCH", "/{domain}/groups/{group}/tags", 200, {"tags": ["c"]}),
    Step("disableGroup", "POST", "/{domain}/groups/{group}/disable", 200),
    Step("enableGroup", "POST", "/{domain}/groups/{group}/enable", 200),
    *_roles("Group", "/{domain}/groups/{group}"),
    Step("availableActionsOfAnyGroup", "GET", "/{domain}/groups/roles/available-actions", 200),
    Step("getHierarchy", "GET", "/{domain}/groups/{group}/hierarchy?level=2&dir=-1&tree=true", 200),
    Step("listGroupChildren", "GET", "/{domain}/groups/{group}/children", 200),
    Step("removeGroupParent", "DELETE", "/{domain}/groups/{child}/parent", 204),
    Step("setGroupParent", "POST", "/{domain}/groups/{child}/parent", 200, {"parent_id": "{group}"}),
    Step("removeAllGroupChildren", "DELETE", "/{domain}/groups/{group}/children/all", 204),
    Step("addGroupChildren", "POST", "/{domain}/groups/{group}/children", 200, {"children_ids": ["{child}"]}),
    Step(
        "removeGroupChildren",
        "DELETE",
        "/{domain}/groups/{group}/children",
        204,
        {"children_ids": ["{child}"]},
    ),
    Step("setClientParent", "POST", "/{domain}/clients/{client}/parent", 200, {"parent_group_id": "{group}"}),
    Step("removeClientParent", "DELETE", "/{domain}/clients/{client}/parent", 204),
    Step(
        "setChannelParent", "POST", "/{domain}/channels/{channel}/parent", 200, {"parent_group_id": "{group}"}
    ),
    Step("removeChannelParent", "DELETE", "/{domain}/channels/{channel}/parent", 204),
    Step("deleteGroup", "DELETE", "/{domain}/groups/{group}", 204),
    # bootstrap
    Step(
        "createConfig",
        "POST",
        "/{domain}/clients/configs",
        201,
        {
            "external_id": "33:52:79:C3:43",
            "external_key": "223334fw2",
            "channels": ["{channel}"],
            "client_id": "{client}",
            "name": "conf",
            "content": '{{"agent":{{}}}}',
        },
    ),
    Step("listConfigs", "GET", "/{domain}/clients/configs?state=0&external_id=33:52:79:C3:43", 200),
    Step("getConfig", "GET", "/{domain}/clients/configs/{client}", 200),
    Step(
        "updateConfig", "PUT", "/{domain}/clients/configs/{client}", 200, {"name": "conf2", "content": "{{}}"}
    ),
    Step(
        "updateConfigCertificates",
        "PATCH",
        "/{domain}/clients/configs/certs/{client}",
        200,
        {"client_cert": "cert", "client_key": "key", "ca_cert": "ca"},
    ),
    Step("setState", "PUT", "/{domain}/clients/state/{client}", 200, {"state": 1}),
    Step(
        "updateConfigConnections",
        "PUT",
        "/{domain}/clients/configs/connections/{client}",
        200,
        {"channels": ["{channel}"]},
    ),
    Step("bootstrap", "GET", "/clients/bootstrap/33:52:79:C3:43", 200, who="Client 223334fw2"),
    Step("bootstrapSecure", "GET", "/clients/bootstrap/secure/33:52:79:C3:43", 200, who="sealed 223334fw2"),
    Step("deleteConfig", "DELETE", "/{domain}/clients/configs/{client}", 204),
    # provisioning
    Step("provision", "POST", "/mapping", 201, {"external_id": "gw1", "external_key": "k"}, "friend"),
    Step(
        "provisionInDomain",
        "POST",
        "/{domain}/mapping",
        201,
        {"name": "edge-gw", "external_id": "gw/2", "external_key": "k2"},
    ),
    Step(
        "provisionInDomain dry",
        "POST",
        "/{domain}/mapping?dry_run=true",
        200,
        {"name": "edge-gw", "external_id": "gw3", "external_key": "k3"},
    ),
    Step("getLayoutContent", "GET", "/mapping", 200),
    Step("getLayoutContentInDomain", "GET", "/{domain}/mapping", 200),
    Step("unprovision", "DELETE", "/{domain}/mapping/gw%2F2", 200),
    # the end
    Step("listEntityJournal", "GET", "/{domain}/journal/client/{client}?dir=asc&limit=2", 200),
    Step("listJournal", "GET", "/{domain}/journal?operation=domain.update", 200),
    Step("deleteChannel", "DELETE", "/{domain}/channels/{channel}", 204),
    Step("deleteClient", "DELETE", "/{domain}/clients/{client}", 204),
    Step(
        "updateUserSecret",
        "PATCH",
        "/users/secret",
        200,
        {"old_secret": PASSWORD, "new_secret": "87654321"},
        "friend",
    ),
    Step("freezeDomain", "POST", "/domains/{domain}/freeze", 200, who="admin"),
]


def tell(muster: Muster, seal: Any) -> dict[str, httpx.Response]:
    """Do all steps; give the answers by the operations' names."""
    people: dict[str, Person | None] = {
        "owner": muster.register("olga"),
        "friend": muster.register("fred"),
        "admin": muster.admin(),
        NOBODY: None,
    }
    known = {name: person.id for name, person in people.items() if person is not None}
    answers: dict[str, httpx.Response] = {}
    for step in STORY:
        who: Person | str | None = people.get(step.who, step.who)
        if step.who == "refresh":
            who = f"Bearer {people['owner'].refresh}"  # type: ignore[union-attr]
        elif step.who.startswith("sealed "):
            who = f"Client {seal(step.who.removeprefix('sealed '))}"
        body = {} if step.body is None else {"json": _filled(step.body, known)}
        answer = muster.ask(step.method, _filled(step.path, known), who, **body)
        answers[step.operation] = answer
        if answer.status_code == step.status:
            for name, where in step.saves.items():
                known[name] = _found(answer.json(), where)
    return answers


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        text = re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), value)
        return text.replace("{{", "{").replace("}}", "}")
    if isinstance(value, dict):
        return {name: _filled(part, known) for name, part in value.items()}
    return [_filled(part, known) for part in value] if isinstance(value, list) else value


def _found(value: Any, where: str) -> str:
    for part in where.split("."):
        value = value[int(part)] if part.isdigit() else value[part]
    return str(value)
