"""`muster` and `python -m muster`."""

import os
import sys

from muster import assembly
from muster.settings import SettingsError, load


def main() -> None:
    """Run the server."""
    try:
        configuration = load(os.environ)
    except SettingsError as error:
        sys.exit(str(error))
    assembly.run(configuration, lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
