"""All routes of the Mainflux door, by the service of upstream that has them: each says errors in its way."""

from litestar import Router

from muster.dialects.mainflux import (
    about,
    bootstrap,
    certs,
    channels,
    groups,
    identify,
    keys,
    mapping,
    problems,
    things,
    users,
)

HANDLERS = [
    Router("/", route_handlers=about.HANDLERS),
    Router("/", route_handlers=users.HANDLERS, opt={"problem": problems.users_problem}),
    Router("/", route_handlers=[*keys.HANDLERS, *groups.HANDLERS], opt={"problem": problems.auth_problem}),
    Router("/", route_handlers=[*things.HANDLERS, *channels.HANDLERS]),
    Router("/", route_handlers=identify.HANDLERS, opt={"problem": problems.silent_problem, "public": True}),
    Router("/", route_handlers=bootstrap.HANDLERS, opt={"problem": problems.bootstrap_problem}),
    Router("/", route_handlers=mapping.HANDLERS, opt={"problem": problems.silent_problem}),
    Router("/", route_handlers=certs.HANDLERS, opt={"problem": problems.silent_problem}),
]
