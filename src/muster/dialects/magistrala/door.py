"""The Magistrala door as a whole: its routes, its errors, and the signs of its requests."""

from collections.abc import Sequence

from litestar import Router

from muster.dialects.magistrala.options import Options
from muster.dialects.magistrala.problems import Problem, problem
from muster.dialects.magistrala.routes import HANDLERS
from muster.dialects.magistrala.users import ISSUER
from muster.web.app import Dialect

PORTS = frozenset({*range(9001, 9007), 9013, 9016, 9019, 8008})
"""Where upstream's services listen (spec 0)."""


def dialect(options: Options, more: Sequence[Router] = ()) -> Dialect:
    """Give the door with the operator's decisions in it, and with *more* routes of the same API."""
    return Dialect(
        name="magistrala",
        title="Muster: Magistrala API",
        handlers=[*HANDLERS, *more],
        given={"options": options},
        problem=problem,
        problem_type=Problem,
        ports=PORTS,
        issuers=frozenset({ISSUER}),
        schemes=frozenset({"bearer", "client"}),
        unmarked=frozenset({"/mapping"}),
        line_end=b"\n",
        exposed=b"Location",
        tenant_variable="domain",
    )
