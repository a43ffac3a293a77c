"""Changes the master key in small steps until it is killed, and says each step. Run by test_rekey.py."""

import sys

from muster.ca.secrets import Keyring
from muster.core.model import Instant
from muster.store import rekey

OLD, NEW = b"a master key of tests, 32 bytes at least", b"the master key that comes after it, 32 bytes"


def main(url: str) -> None:
    rekey.BATCH = 10
    outcome = rekey.rekey(url, Keyring(NEW, OLD), Instant(1), lambda *step: print(*step, flush=True))
    print("retired", *outcome.retired, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
