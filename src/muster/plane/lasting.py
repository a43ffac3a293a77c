"""A NATS connection that is made anew whatever ended it: only who opened it ends it for good."""

import asyncio
import socket

import structlog
from nats.aio.client import Client, Srv
from nats.errors import Error as NatsError
from nats.protocol.parser import PERMISSIONS_ERR

_UNKNOWN_HOST_SECONDS = 1.0

log = structlog.get_logger("muster.broker")


class Lasting(Client):
    """Like Client, which gives up for ever when the broker hangs up with an error it does not know.

    Such are a line or a payload that is too long, or too many connections. A name that leads nowhere is
    looked up once a second.
    """

    async def _connect_to_server(self, s: Srv) -> None:
        # Looked up here first: uvloop complains of futures left behind when several lookups fail at once.
        try:
            await asyncio.get_running_loop().getaddrinfo(s.uri.hostname, s.uri.port)
        except socket.gaierror:
            await asyncio.sleep(_UNKNOWN_HOST_SECONDS)
            raise
        await super()._connect_to_server(s)

    async def _process_err(self, err_msg: str) -> None:
        if PERMISSIONS_ERR in err_msg:  # the broker does not hang up for it
            await super()._process_err(err_msg)
            return
        log.warning("broker hung up", says=err_msg.strip("'"))
        await self._process_op_err(NatsError(f"nats: {err_msg}"))
