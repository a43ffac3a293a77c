"""What a person at a terminal sees: questions, hidden answers, a progress bar."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.conftest import Person, Shell


class Terminal:
    """A terminal that a person sits at."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self.process = process
        self.seen = ""
        self._read = 0

    def until(self, words: str) -> None:
        """Read on until these words are shown; fails with all that was, when the program ends before."""
        while self.seen.find(words, self._read) < 0:
            try:
                data = os.read(self._master, 4096)
            except OSError:  # the program has closed its end
                data = b""
            assert data, self.seen
            self.seen += data.decode(errors="replace")
        self._read = self.seen.find(words, self._read) + len(words)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._master, line.encode() + b"\n")

    def rest(self) -> str:
        """Read to the end; give all that was ever shown."""
        try:
            while data := os.read(self._master, 4096):
                self.seen += data.decode(errors="replace")
        except OSError:
            pass
        return self.seen


@contextmanager
def at_terminal(shell: Shell, *args: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "120", **shell.environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "muster", *args], env=environment, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_a_password_is_asked_for_and_not_shown(bare: Shell, jane: Person) -> None:
    """Name and password, where they were not given."""
    with at_terminal(bare, "login") as terminal:
        terminal.until("username:")
        terminal.type(jane.name)
        terminal.until(f"password of {jane.name}:")
        terminal.type(jane.password)
        terminal.until("token_ends")
        assert 0 == terminal.process.wait(timeout=30)
        assert jane.password not in terminal.rest()
    assert jane.name == bare.json("status")["user"]


def test_a_new_password_is_asked_for_twice(muster: Shell, jane: Person) -> None:
    """A slip of the finger must not lock the user out."""
    with at_terminal(muster, "users", "password") as terminal:
        terminal.until("old password:")
        terminal.type(jane.password)
        terminal.until("new password:")
        terminal.type("a new password")
        terminal.until("Repeat for confirmation:")
        terminal.type("a new passwort")
        terminal.until("do not match")
        terminal.until("new password:")
        terminal.type("a new password")
        terminal.until("confirmation:")
        terminal.type("a new password")
        terminal.rest()
        assert 0 == terminal.process.wait(timeout=30)
    muster("login", jane.name, "--password", "-", stdin="a new password\n")


def test_progress_is_shown_with_rate_and_time_left(muster: Shell) -> None:
    """While a file is worked on."""
    where = Path(muster.file("a.csv", "".join(f"n{n}\n" for n in range(400))))
    with at_terminal(muster, "provision", "clients", str(where), "--chunk", "10") as terminal:
        terminal.until("/s")
        shown = terminal.rest()
        assert 0 == terminal.process.wait(timeout=30)
    assert "/400" in shown
    assert "400 clients made; the first 20 are shown" in shown
