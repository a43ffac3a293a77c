"""`muster` and `python -m muster`: the verbs of the machine's owner and of the API's users."""

import os
import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import rich_click as click

from muster import __version__
from muster.cli.root import Program

if TYPE_CHECKING:
    from pathlib import Path

    from muster.admin.nats import Cluster
    from muster.ca.secrets import Keyring
    from muster.settings import Configuration, Settings

COMMANDS: Final = {
    "serve": (
        "muster.admin.start:serve",
        "Start Muster and serve until it is told to stop (SIGTERM, Ctrl-C).",
    ),
    "config": ("muster.admin.start:show_config", "Show the effective settings and where each comes from."),
    "db": ("muster.admin.database:db", "The database of this machine's Muster."),
    "nats-config": (
        "muster.admin.nats:nats_config",
        "Print what the nats-server of each node of a cluster is started with.",
    ),
    "doctor": ("muster.admin.database:doctor", "Prove that the database holds nothing half made."),
    "login": ("muster.cli.account:login", "Log in; the profile remembers address, tokens and domain."),
    "logout": ("muster.cli.account:logout", "Forget the tokens of a profile."),
    "status": ("muster.cli.account:status", "Show which server, user and domain commands work with."),
    "profiles": ("muster.cli.account:profile_group", "Servers and users that this machine knows."),
    "users": ("muster.cli.people:users", "People and programs that set things up."),
    "users recover": ("muster.admin.recover:recover", ""),
    "tokens": (
        "muster.cli.people:tokens",
        "What proves who you are: tokens, API keys, personal access tokens.",
    ),
    "domains": ("muster.cli.people:domains", "Domains: each has its own clients and channels."),
    "roles": ("muster.cli.people:roles", "Roles in a domain: what their members may do."),
    "invitations": ("muster.cli.people:invitations", "Invitations of users into domains."),
    "clients": ("muster.cli.fleet:clients", "Clients: the devices of a domain."),
    "channels": ("muster.cli.fleet:channels", "Channels: where devices meet."),
    "connect": ("muster.cli.connect:connect", "Connect clients to channels, by id or from a file."),
    "disconnect": ("muster.cli.connect:disconnect", "Disconnect clients from channels."),
    "certs": ("muster.cli.certs:certs", "Certificates of clients: issue, list, renew, revoke."),
    "revoke": ("muster.cli.certs:revoke", "Revoke a client's certificates; say what takes effect when."),
    "ca": ("muster.cli.certs:ca", "The CAs that sign clients' certificates."),
    "groups": ("muster.cli.fleet:groups", "Groups: a tree that clients and channels hang on."),
    "provision": (
        "muster.cli.provision:provision",
        "Provision a gateway in one call, or many devices from a file.",
    ),
    "unprovision": ("muster.cli.provision:unprovision", "Delete exactly what provisioning a gateway made."),
    "bootstrap": ("muster.cli.fleet:bootstrap", "The first minutes of a device's life."),
    "messages": ("muster.cli.single:messages", "Messages of a channel."),
    "hono": (
        "muster.cli.hono:hono",
        "Hono's tenants: messages, devices that wait, denials, webhooks, limits.",
    ),
    "journal": ("muster.cli.single:journal", "Show who did what to which entity, when."),
    "api": ("muster.cli.single:api", "Do any request of the API as the logged-in user."),
    "demo": ("muster.cli.demo:demo", "Onboard a gateway end to end, and show each step."),
    "completion": ("muster.cli.shell:completion", "Print what makes a shell complete `muster`."),
    "reference": (
        "muster.cli.shell:reference",
        "Print the page docs/cli.md: every command with its options.",
    ),
}
"""Where each command is, and its line in the list of commands; only the one that is called is imported."""


click.rich_click.COMMAND_GROUPS["muster"] = [
    {"name": "This machine's Muster", "commands": ["serve", "config", "db", "doctor", "nats-config"]},
    {"name": "You", "commands": ["login", "logout", "status", "profiles"]},
    {"name": "Who may do what", "commands": ["users", "tokens", "domains", "roles", "invitations"]},
    {
        "name": "Devices",
        "commands": [
            *(
                "provision",
                "unprovision",
                "bootstrap",
                "clients",
                "channels",
                "connect",
                "disconnect",
                "groups",
            )
        ],
    },
    {"name": "Certificates", "commands": ["certs", "revoke", "ca"]},
    {"name": "What happens", "commands": ["messages", "journal", "hono"]},
    {"name": "Everything else", "commands": ["demo", "api", "completion", "reference"]},
]


class Machine:
    """What the owner's verbs need of the assembly; imported when it is needed."""

    @staticmethod
    def run(configuration: "Configuration", say: Callable[[str], None]) -> None:
        """Serve until told to stop."""
        if configuration.settings.workers > 1:
            from muster.settings import make_data_dir  # noqa: PLC0415

            make_data_dir(configuration.settings)
            _share_meters(configuration.settings.data_dir / "meters")
        from muster import assembly  # noqa: PLC0415

        assembly.run(configuration, say)

    @staticmethod
    def database_url(settings: "Settings") -> str:
        """Give the URL of the database."""
        from muster.assembly import parts  # noqa: PLC0415

        return parts.database_url(settings)

    @staticmethod
    def keyring(settings: "Settings") -> "Keyring":
        """Give the installation's keys."""
        from muster.assembly import parts  # noqa: PLC0415

        return parts.keyring_of(settings)

    @staticmethod
    def nats_config(settings: "Settings", cluster: "Cluster") -> "Mapping[str, str]":
        """Give the configuration file of each node of a NATS cluster, by name."""
        from muster.assembly import cluster as nats  # noqa: PLC0415

        return nats.nats_config(settings, cluster)


def _share_meters(folder: "Path") -> None:
    """Have all processes measure into one folder; to be said before prometheus_client is imported."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


@click.group(cls=Program, late=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="muster")
@click.pass_context
def main(context: click.Context) -> None:
    """Muster brings a fleet of IoT devices to life."""
    context.obj = Machine


if __name__ == "__main__":
    main()
