"""A small STAC API over the items of a local catalog, which fails on request."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

from shapely.geometry import shape

CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
]


@dataclass
class Api:
    """The state of a server: what it serves, how it fails, what it was asked.

    Attributes
    ----------
    items : list of dict
        All in one collection.
    collection : str
        Its id.
    page : int
        Most items per answer.
    failures : deque of int or str
        How the next answers to a search fail: a status, ``"truncated"`` (half the body) or
        ``"html"`` (a page instead of JSON).
    asked : list of dict
        Bodies of the searches so far.
    """

    items: list[dict[str, Any]]
    collection: str = "sentinel-2-l2a"
    page: int = 3
    failures: deque[int | str] = field(default_factory=deque)
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def root(self) -> dict[str, Any]:
        """Return the landing page."""
        links = [
            ("self", "/", "GET"),
            ("root", "/", "GET"),
            ("data", "/collections", "GET"),
            ("search", "/search", "GET"),
            ("search", "/search", "POST"),
        ]
        kind = "application/geo+json"
        return {
            "type": "Catalog",
            "id": "test",
            "stac_version": "1.0.0",
            "description": "a server of the tests",
            "conformsTo": CONFORMS,
            "links": [
                {"rel": rel, "href": self.url + path, "method": method, "type": kind}
                for rel, path, method in links
            ],
        }

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return one page of the items that a body asks for."""
        self.asked.append(body)
        found = [item for item in self.items if self._asked_for(item, body)]
        first = int(body.get("token", 0))
        last = first + min(int(body.get("limit", 10)), self.page)
        links: list[dict[str, Any]] = []
        if last < len(found):
            following = {**body, "token": last}
            links = [
                {"rel": "next", "href": f"{self.url}/search", "method": "POST", "body": following}
            ]
        return {"type": "FeatureCollection", "features": found[first:last], "links": links}

    def _asked_for(self, item: dict[str, Any], body: dict[str, Any]) -> bool:
        start, end = body.get("datetime", "0/9").split("/")
        ground = shape(body["intersects"]) if "intersects" in body else None
        return (
            self.collection in body.get("collections", [self.collection])
            and start <= item["properties"]["datetime"] <= end
            and (ground is None or shape(item["geometry"]).intersects(ground))
        )


class _Handler(BaseHTTPRequestHandler):
    api: Api

    def do_GET(self) -> None:
        path = urlparse(self.path).path.rstrip("/")
        if path == "":
            self._answer(self.api.root())
        elif path == "/search":
            asked = {k: v[0] for k, v in parse_qs(urlparse(self.path).query).items()}
            self._answer(self.api.search(asked))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        failure = self.api.failures.popleft() if self.api.failures else None
        if isinstance(failure, int):
            self.send_error(failure)
        elif failure == "html":
            self._send(b"<html>maintenance</html>", "text/html")
        elif failure == "truncated":
            text = json.dumps(self.api.search(body)).encode()
            self._send(text[: len(text) // 2], "application/geo+json", stated=len(text))
        else:
            self._answer(self.api.search(body))

    def _answer(self, tree: dict[str, Any]) -> None:
        self._send(json.dumps(tree).encode(), "application/geo+json")

    def _send(self, body: bytes, kind: str, stated: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if stated is None else stated))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server
        """Keep quiet."""


@contextmanager
def serving(api: Api) -> Iterator[Api]:
    """Serve an API on the loopback address."""
    handler = type("Handler", (_Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
