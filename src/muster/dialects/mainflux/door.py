"""The Mainflux door as a whole: its routes, its errors, and the signs of its requests."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from litestar import Router

from muster.dialects.mainflux.about import SERVICES
from muster.dialects.mainflux.options import Options
from muster.dialects.mainflux.problems import Problem, problem
from muster.dialects.mainflux.routes import HANDLERS
from muster.dialects.mainflux.users import ISSUER
from muster.web.app import Dialect

PORTS = frozenset(SERVICES)
"""Where upstream's services listen."""
_OURS = frozenset({"email", "password"})
_THEIRS = frozenset({"first_name", "last_name", "credentials"})


def _is_legacy_user(names: AbstractSet[str]) -> bool:
    return bool(names & _OURS) and not names & _THEIRS


def dialect(options: Options, more: Sequence[Router] = ()) -> Dialect:
    """Give the door with the operator's decisions in it, and with *more* routes of the same API."""
    return Dialect(
        name="mainflux",
        title="Muster: Mainflux API",
        handlers=[*HANDLERS, *more],
        given={"options": options},
        problem=problem,
        problem_type=Problem,
        ports=PORTS,
        issuers=frozenset({ISSUER}),
        schemes=frozenset({"", "thing"}),
        unmarked=frozenset({"/mapping"}) if options.has_mapping else frozenset(),
        shapes={"POST /users": _is_legacy_user},
        line_end=b"\n",
        exposed=b"Location",
    )
