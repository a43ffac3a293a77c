"""What the door answers by itself, for those who run it: health, metrics and the documents of the API."""

import asyncio
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from muster.web import openapi
from muster.web.choose import Dialect
from muster.web.endpoints import Endpoint
from muster.web.errors import WrongMethod
from muster.web.merged import Json, merged
from muster.web.page import POLICY, page
from muster.web.reply import Rendered, Reply, render
from muster.web.request import Request

SHARED_METERS = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client reads it when it is imported."""
ALLOW = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What /health says."""

    version: str = "0"
    commit: str = ""
    build_time: str = ""
    description: str = "muster service"
    instance_id: str = field(default_factory=lambda: secrets.token_hex(8))
    is_well: Callable[[], bool] = lambda: True
    """Whether requests can be served now."""


class Operations:
    """The endpoints that belong to no dialect."""

    def __init__(
        self,
        dialects: Sequence[Dialect],
        endpoints: Sequence[Endpoint],
        registry: CollectorRegistry,
        about: About,
    ) -> None:
        self._registry = registry
        self._about = about
        self._dialects = dialects
        self._endpoints = endpoints
        self._pages: dict[tuple[str, ...], tuple[str, Callable[[], Reply]]] = {
            ("health",): ("/health", self._health),
            ("metrics",): ("/metrics", self._metrics),
            ("docs",): ("/docs", self._page),
            ("openapi.json",): ("/openapi.json", partial(self._document, "")),
        }
        for dialect in dialects:
            path = f"/openapi/{dialect.name}.json"
            self._pages["openapi", f"{dialect.name}.json"] = (path, partial(self._document, dialect.name))

    async def answer(self, request: Request, segments: list[str]) -> Rendered[Any] | None:
        """Answer, or None when the path is not one of ours. WrongMethod for anything but reading."""
        page = self._pages.get(tuple(segments))
        if page is None:
            return None
        request.template, make = page
        if request.scope["method"] not in ("GET", "HEAD"):
            raise WrongMethod(ALLOW)
        return render(await asyncio.to_thread(make))

    def _health(self) -> Reply:
        """Answer as upstream's services do (spec A.0)."""
        about = self._about
        is_well = about.is_well()
        body = {
            "status": "pass" if is_well else "fail",
            "version": about.version,
            "commit": about.commit,
            "description": about.description,
            "build_time": about.build_time,
            "instance_id": about.instance_id,
        }
        return Reply(status=200 if is_well else 503, body=body, media_type="application/health+json")

    @cached_property
    def _documents(self) -> dict[str, Json]:
        """The documents by dialect, and of all under the empty name. Written when first asked for."""
        version = self._about.version
        own = {d.name: openapi.document(d, self._endpoints, version) for d in self._dialects}
        return {**own, "": merged("Muster", version, own)}

    def _document(self, name: str) -> Reply:
        return Reply(body=self._documents[name])

    def _page(self) -> Reply:
        addresses = [f"/openapi/{name}.json" if name else "/openapi.json" for name in self._documents]
        html = page(self._documents[""], addresses)
        headers = {"Content-Security-Policy": POLICY}
        return Reply(body=html, headers=headers, media_type="text/html; charset=utf-8")

    def _metrics(self) -> Reply:
        return Reply(body=generate_latest(_of_all(self._registry)), media_type=CONTENT_TYPE_LATEST)


def _of_all(registry: CollectorRegistry) -> CollectorRegistry:
    """Give what is shown: of several processes that measure into one folder, the numbers of all together."""
    if SHARED_METERS not in os.environ:
        return registry
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together
