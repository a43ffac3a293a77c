"""The Hono door as a whole: its routes, its errors, its way to log in."""

from collections.abc import Sequence

from litestar import Router

from muster.dialects.hono.logins import Logins
from muster.dialects.hono.options import Options
from muster.dialects.hono.problems import Problem, problem
from muster.dialects.hono.routes import HANDLERS
from muster.web.app import Dialect


def dialect(options: Options, logins: Logins, more: Sequence[Router] = ()) -> Dialect:
    """Give the door with the operator's decisions in it, and with *more* routes of the same API."""
    return Dialect(
        name="hono",
        title="Muster: Eclipse Hono Device Registry Management API v1",
        handlers=[*HANDLERS, *more],
        given={"options": options},
        problem=problem,
        problem_type=Problem,
        login=logins,
        allows_origins=True,
        schemes=frozenset({"basic"}),
        tenant_variable="tenant",
    )
