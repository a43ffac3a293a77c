"""The program as a whole: help, exit codes, completion, its page, and that each command is tried out."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rich_click as click
from click.testing import CliRunner

from muster import __version__
from muster.__main__ import COMMANDS, main
from muster.cli.failures import EXIT_CODES
from muster.cli.page import page
from muster.cli.root import LateGroup
from tests.cli.conftest import Shell
from tests.journeys.server import Server
from tests.ports import free_port

ROOT = Path(__file__).parent.parent.parent


def walk(command: click.Command, context: click.Context) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Give every command that is no group, with its words."""
    if isinstance(command, LateGroup):
        children = command.commands_of(context)
    elif isinstance(command, click.Group):
        children = dict(command.commands)
    else:
        yield tuple(context.command_path.split(" ")[1:]), command
        return
    for name, child in children.items():
        yield from walk(child, click.Context(child, info_name=name, parent=context))


def root() -> click.Context:
    return click.Context(main, info_name="muster", **main.context_settings)


LEAVES = dict(walk(main, root()))


@pytest.mark.parametrize(
    "words", [(), *LEAVES, *sorted({words[:-1] for words in LEAVES if len(words) > 1})], ids=" ".join
)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    """With --help, and with its options in it."""
    done = CliRunner().invoke(main, [*words, "--help"], prog_name="muster")
    assert (0, "") == (done.exit_code, done.stderr)
    assert " ".join(["Usage: muster", *words]) in " ".join(done.stdout.split())


def test_the_list_of_commands_says_what_each_command_says() -> None:
    """It is kept by hand so that `muster --help` need not import them all."""
    for name, (_, line) in COMMANDS.items():
        if " " not in name:
            said = " ".join((main.load(name).help or "").split())
            first = line.rstrip(".")
            assert said.startswith(first) or line in _SHORTER, f"{name}: {said}"


_SHORTER = {
    "Show the effective settings and where each comes from.",
    "The database of this machine's Muster.",
    "Prove that the database holds nothing half made.",
    "Log in; the profile remembers address, tokens and domain.",
    "Connect clients to channels, by id or from a file.",
    "Provision a gateway in one call, or many devices from a file.",
    "Onboard a gateway end to end, and show each step.",
    "Forget the tokens of a profile.",
    "Certificates of clients: issue, list, renew, revoke.",
    "Revoke a client's certificates; say what takes effect when.",
}
"""Lines that say less than the command does."""


def called() -> set[tuple[str, ...]]:
    """Find the words that these tests and the journeys call commands with."""
    found = set()
    tests = Path(__file__).parent.parent
    for path in (*tests.glob("cli/*.py"), *tests.glob("journeys/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                words = tuple(
                    arg.value
                    for arg in node.args
                    if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                )
                found |= {words[:n] for n in (1, 2, 3)}
    return found


def test_every_command_is_tried_out() -> None:
    """Somewhere in these tests, against a real server."""
    known = called() | {("provision", "clients"), ("provision", "channels"), ("serve",), ("reference",)}
    assert [words for words in LEAVES if words not in known] == []


def test_every_command_stands_under_a_heading() -> None:
    """None is left over at the end of the help."""
    groups = click.rich_click.COMMAND_GROUPS["muster"]
    assert {name for name in COMMANDS if " " not in name} == {one for g in groups for one in g["commands"]}


def test_the_page_is_what_the_commands_say() -> None:
    """`muster reference > docs/cli.md` writes it."""
    assert (ROOT / "docs" / "cli.md").read_text() == page(root())
    done = CliRunner().invoke(main, ["reference"], prog_name="muster")
    assert page(root()) == done.stdout


def test_every_exit_code_is_on_the_page() -> None:
    """Scripts rely on them."""
    text = (ROOT / "docs" / "cli.md").read_text()
    assert all(f"| {code} | {meaning} |" in text for code, meaning in EXIT_CODES.items())


def test_what_is_wrong_on_the_command_line_is_told(bare: Shell) -> None:
    """In a sentence, with the help to look at, and exit code 2."""
    bare.try_("frobnicate").refused("No such command 'frobnicate'", code=2)
    bare.try_("clients", "lst").refused("No such command 'lst'", "muster clients --help", code=2)
    bare.try_("clients", "list", "--colour").refused("--colour", "muster clients list --help", code=2)
    bare.try_("clients", "get").refused("Missing argument", code=2)
    bare.try_("clients", "get", "a", "b").refused("unexpected extra argument", code=2)
    bare.try_("clients", "list", "-o", "xml").refused("xml", code=2)
    bare.try_("clients", "get", "\udcff").refused("no UTF-8 text", code=2)
    assert 2 == bare.try_().code
    assert 2 == bare.try_("clients").code


def test_the_output_of_a_run_can_be_chosen_by_the_environment(muster: Shell) -> None:
    """MUSTER_OUTPUT is the default of -o."""
    muster.environment["MUSTER_OUTPUT"] = "json"
    assert [] == muster("clients", "list").json["clients"]
    muster.environment["MUSTER_OUTPUT"] = "xml"
    muster.try_("clients", "list").refused("xml", code=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_to_complete(bare: Shell, shell: str) -> None:
    """With a script that asks muster itself."""
    assert "_MUSTER_COMPLETE" in bare("completion", shell).out


def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `muster` as a process of its own."""
    path = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = [sys.executable, "-m", "muster", *args]
    return subprocess.run(
        command, env={**path, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def test_words_are_completed() -> None:
    """Commands, their commands, and options."""
    asked = {"_MUSTER_COMPLETE": "bash_complete"}
    assert "plain,clients" in run(COMP_WORDS="muster cl", COMP_CWORD="1", **asked).stdout.splitlines()
    below = run(COMP_WORDS="muster clients ena", COMP_CWORD="2", **asked).stdout.splitlines()
    assert ["plain,enable"] == below
    options = run(COMP_WORDS="muster clients list --cha", COMP_CWORD="3", **asked).stdout.splitlines()
    assert ["plain,--channel"] == options


def test_help_and_version_do_not_load_the_server() -> None:
    """They are quick because they import next to nothing."""
    run_help = "from muster.__main__ import main; main(['--help'], standalone_mode=False)"
    code = f"{run_help}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.splitlines()[-1].split(" "))
    assert set() == loaded & {"litestar", "sqlalchemy", "httpx", "msgspec", "cryptography", "muster.settings"}
    assert f"muster, version {__version__}" in run("--version").stdout


def test_a_reader_that_goes_away_ends_it_quietly(muster: Shell) -> None:
    """As `muster clients list --all | head -1` does."""
    muster("provision", "clients", muster.file("a.csv", "".join(f"{'n' * 200}{n}\n" for n in range(2000))))
    environment = {"PATH": os.environ["PATH"], **muster.environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "muster", "clients", "list", "--all", "-o", "json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"{\n" == process.stdout.readline()
    process.stdout.close()
    assert b"" == process.stderr.read()
    process.stderr.close()
    assert 1 == process.wait(timeout=30)


def test_ctrl_c_ends_it_quietly(muster: Shell) -> None:
    """With the exit code shells expect."""
    environment = {"PATH": os.environ["PATH"], **muster.environment}
    made = muster.json("provision", "gw-ctrl-c", "--make-key")["clients"][0]["id"]
    process = subprocess.Popen(
        [sys.executable, "-m", "muster", "clients", "watch", "-d", muster.json("status")["domain_id"]],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        wait_for_connection(process)
        process.send_signal(signal.SIGINT)
        assert "stopped" == process.stderr.read().strip()
    assert (130, True) == (process.returncode, bool(made))


def wait_for_connection(process: subprocess.Popen[str]) -> None:
    """Wait until the process speaks to the server: then its commands run, and Ctrl-C is theirs."""
    import psutil  # noqa: PLC0415

    while process.poll() is None and not psutil.Process(process.pid).net_connections("tcp"):
        signal.sigtimedwait([], 0.01)


def test_an_answer_that_never_comes_is_told(bare: Shell, server: Server) -> None:
    """Nobody listens at the port; the exit code says so."""
    bare.environment["MUSTER_URL"] = f"http://127.0.0.1:{free_port()}"
    for words in (("login", "a", "--password", "-"), ("demo",), ("provision", "test"), ("domains", "list")):
        bare.try_(*words, stdin="x\n").refused("nobody answers", "is it running?", code=3)
