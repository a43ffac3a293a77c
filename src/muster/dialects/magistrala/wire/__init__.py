"""JSON as Magistrala writes and reads it. Field order is the order of upstream's replies."""

from muster.dialects.magistrala.wire.channels import (
    ChannelOut as ChannelOut,
)
from muster.dialects.magistrala.wire.channels import (
    ChannelPage as ChannelPage,
)
from muster.dialects.magistrala.wire.channels import (
    ChannelsMade as ChannelsMade,
)
from muster.dialects.magistrala.wire.channels import (
    Connect as Connect,
)
from muster.dialects.magistrala.wire.channels import (
    ConnectClients as ConnectClients,
)
from muster.dialects.magistrala.wire.channels import (
    NewChannel as NewChannel,
)
from muster.dialects.magistrala.wire.channels import (
    channel as channel,
)
from muster.dialects.magistrala.wire.clients import (
    Client as Client,
)
from muster.dialects.magistrala.wire.clients import (
    ClientPage as ClientPage,
)
from muster.dialects.magistrala.wire.clients import (
    ClientsMade as ClientsMade,
)
from muster.dialects.magistrala.wire.clients import (
    Credentials as Credentials,
)
from muster.dialects.magistrala.wire.clients import (
    NewClient as NewClient,
)
from muster.dialects.magistrala.wire.clients import (
    NewCredentials as NewCredentials,
)
from muster.dialects.magistrala.wire.clients import (
    client as client,
)
from muster.dialects.magistrala.wire.common import (
    CONNECTION_TYPE as CONNECTION_TYPE,
)
from muster.dialects.magistrala.wire.common import (
    Change as Change,
)
from muster.dialects.magistrala.wire.common import (
    In as In,
)
from muster.dialects.magistrala.wire.common import (
    NewSecret as NewSecret,
)
from muster.dialects.magistrala.wire.common import (
    Out as Out,
)
from muster.dialects.magistrala.wire.common import (
    Parent as Parent,
)
from muster.dialects.magistrala.wire.common import (
    Tags as Tags,
)
from muster.dialects.magistrala.wire.common import (
    action_in as action_in,
)
from muster.dialects.magistrala.wire.common import (
    action_out as action_out,
)
from muster.dialects.magistrala.wire.common import (
    at as at,
)
from muster.dialects.magistrala.wire.common import (
    available_actions as available_actions,
)
from muster.dialects.magistrala.wire.common import (
    connection_types as connection_types,
)
from muster.dialects.magistrala.wire.common import (
    flow_of as flow_of,
)
from muster.dialects.magistrala.wire.common import (
    role_fields as role_fields,
)
from muster.dialects.magistrala.wire.common import (
    status_of as status_of,
)
from muster.dialects.magistrala.wire.common import (
    status_text as status_text,
)
from muster.dialects.magistrala.wire.domains import (
    Domain as Domain,
)
from muster.dialects.magistrala.wire.domains import (
    DomainChange as DomainChange,
)
from muster.dialects.magistrala.wire.domains import (
    DomainPage as DomainPage,
)
from muster.dialects.magistrala.wire.domains import (
    NewDomain as NewDomain,
)
from muster.dialects.magistrala.wire.domains import (
    domain as domain,
)
from muster.dialects.magistrala.wire.groups import (
    Children as Children,
)
from muster.dialects.magistrala.wire.groups import (
    GroupChange as GroupChange,
)
from muster.dialects.magistrala.wire.groups import (
    GroupOut as GroupOut,
)
from muster.dialects.magistrala.wire.groups import (
    GroupPage as GroupPage,
)
from muster.dialects.magistrala.wire.groups import (
    Hierarchy as Hierarchy,
)
from muster.dialects.magistrala.wire.groups import (
    NewGroup as NewGroup,
)
from muster.dialects.magistrala.wire.groups import (
    ParentGroup as ParentGroup,
)
from muster.dialects.magistrala.wire.groups import (
    group as group,
)
from muster.dialects.magistrala.wire.keys import (
    JournalOut as JournalOut,
)
from muster.dialects.magistrala.wire.keys import (
    JournalPage as JournalPage,
)
from muster.dialects.magistrala.wire.keys import (
    KeyIssued as KeyIssued,
)
from muster.dialects.magistrala.wire.keys import (
    KeyOut as KeyOut,
)
from muster.dialects.magistrala.wire.keys import (
    NewKey as NewKey,
)
from muster.dialects.magistrala.wire.keys import (
    NewPat as NewPat,
)
from muster.dialects.magistrala.wire.keys import (
    PatDescription as PatDescription,
)
from muster.dialects.magistrala.wire.keys import (
    PatLifetime as PatLifetime,
)
from muster.dialects.magistrala.wire.keys import (
    PatName as PatName,
)
from muster.dialects.magistrala.wire.keys import (
    PatOut as PatOut,
)
from muster.dialects.magistrala.wire.keys import (
    PatPage as PatPage,
)
from muster.dialects.magistrala.wire.keys import (
    ScopeChange as ScopeChange,
)
from muster.dialects.magistrala.wire.keys import (
    ScopeEntry as ScopeEntry,
)
from muster.dialects.magistrala.wire.keys import (
    ScopeOut as ScopeOut,
)
from muster.dialects.magistrala.wire.keys import (
    ScopePage as ScopePage,
)
from muster.dialects.magistrala.wire.keys import (
    key as key,
)
from muster.dialects.magistrala.wire.keys import (
    pat as pat,
)
from muster.dialects.magistrala.wire.keys import (
    scope as scope,
)
from muster.dialects.magistrala.wire.keys import (
    scope_changed as scope_changed,
)
from muster.dialects.magistrala.wire.keys import (
    scope_id as scope_id,
)
from muster.dialects.magistrala.wire.keys import (
    scope_in as scope_in,
)
from muster.dialects.magistrala.wire.roles import (
    Actions as Actions,
)
from muster.dialects.magistrala.wire.roles import (
    ActionsOut as ActionsOut,
)
from muster.dialects.magistrala.wire.roles import (
    AvailableActions as AvailableActions,
)
from muster.dialects.magistrala.wire.roles import (
    EntityMember as EntityMember,
)
from muster.dialects.magistrala.wire.roles import (
    EntityMembersPage as EntityMembersPage,
)
from muster.dialects.magistrala.wire.roles import (
    HeldRole as HeldRole,
)
from muster.dialects.magistrala.wire.roles import (
    InvitationAnswer as InvitationAnswer,
)
from muster.dialects.magistrala.wire.roles import (
    InvitationOut as InvitationOut,
)
from muster.dialects.magistrala.wire.roles import (
    InvitationPage as InvitationPage,
)
from muster.dialects.magistrala.wire.roles import (
    MemberIds as MemberIds,
)
from muster.dialects.magistrala.wire.roles import (
    Members as Members,
)
from muster.dialects.magistrala.wire.roles import (
    MembersOut as MembersOut,
)
from muster.dialects.magistrala.wire.roles import (
    MembersPage as MembersPage,
)
from muster.dialects.magistrala.wire.roles import (
    NewInvitation as NewInvitation,
)
from muster.dialects.magistrala.wire.roles import (
    NewRole as NewRole,
)
from muster.dialects.magistrala.wire.roles import (
    RoleOut as RoleOut,
)
from muster.dialects.magistrala.wire.roles import (
    RolePage as RolePage,
)
from muster.dialects.magistrala.wire.roles import (
    RoleRename as RoleRename,
)
from muster.dialects.magistrala.wire.roles import (
    entity_member as entity_member,
)
from muster.dialects.magistrala.wire.roles import (
    invitation as invitation,
)
from muster.dialects.magistrala.wire.roles import (
    role as role,
)
from muster.dialects.magistrala.wire.users import (
    Email as Email,
)
from muster.dialects.magistrala.wire.users import (
    Login as Login,
)
from muster.dialects.magistrala.wire.users import (
    Message as Message,
)
from muster.dialects.magistrala.wire.users import (
    NewUser as NewUser,
)
from muster.dialects.magistrala.wire.users import (
    NewUserCredentials as NewUserCredentials,
)
from muster.dialects.magistrala.wire.users import (
    Picture as Picture,
)
from muster.dialects.magistrala.wire.users import (
    Recovery as Recovery,
)
from muster.dialects.magistrala.wire.users import (
    Reset as Reset,
)
from muster.dialects.magistrala.wire.users import (
    RoleName as RoleName,
)
from muster.dialects.magistrala.wire.users import (
    SecretChange as SecretChange,
)
from muster.dialects.magistrala.wire.users import (
    TokenPair as TokenPair,
)
from muster.dialects.magistrala.wire.users import (
    UserChange as UserChange,
)
from muster.dialects.magistrala.wire.users import (
    UserCredentials as UserCredentials,
)
from muster.dialects.magistrala.wire.users import (
    Username as Username,
)
from muster.dialects.magistrala.wire.users import (
    UserOut as UserOut,
)
from muster.dialects.magistrala.wire.users import (
    UserPage as UserPage,
)
from muster.dialects.magistrala.wire.users import (
    reduced_user as reduced_user,
)
from muster.dialects.magistrala.wire.users import (
    user as user,
)
