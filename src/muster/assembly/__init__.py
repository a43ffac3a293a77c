"""The only place where objects meet: settings become a store, keys, doors, a broker and a running server."""

from muster.assembly.running import run

__all__ = ["run"]
