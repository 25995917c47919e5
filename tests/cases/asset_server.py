"""A small server of files with range requests, tokens that expire, latency and failures."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import rasterio
from rasterio.windows import Window

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_TOKENS = "/token/"
CORNER = (slice(660, 915), slice(200, 456))  # rows and columns where the smallest country lies
PASSWORD = "correct horse"  # noqa: S105 - of a server of the tests


@dataclass
class Store:
    """The state of a server: what it serves to whom, how it fails, what it was asked.

    Attributes
    ----------
    folder : Path
        Its files.
    access : str
        Everybody may read ("open"), or who has a signature ("sas"), a token ("bearer") or the
        keys of S3 and agrees to pay ("s3").
    lifetime : float
        Seconds that a token lives, as the server states it.
    uses : int
        Requests after which a token has expired in truth; 0 counts none.
    expired : int
        The answer to a token that has expired: 403, or 404 as some servers have it.
    failures : deque of int or str
        How the next requests for pixels fail: a status, ``"truncated"`` or ``"html"``.
    fail_every : int
        Each so-manieth request for pixels fails with 503; 0 is none.
    answers : float
        Requests for pixels that are answered yet; all after them fail with 503.
    whole : tuple of str, optional
        Stems of the files that are served whole; of all others only what begins with their first
        byte, their header.
    parts : bool
        Whether it gives parts of files, or all of a file to whoever asks for a part.
    latency : float
        Seconds before an answer.
    requests : list of tuple
        Method, path without query, and range of each request for files.
    meeting : threading.Barrier, optional
        Each so many requests are answered when all of them are there, or none.
    tokens : dict of str to list
        Requests that a token is still good for, and its end in seconds of ``time.time``.
    """

    folder: Path
    access: Literal["open", "sas", "bearer", "s3"] = "open"
    lifetime: float = 3600.0
    uses: int = 0
    expired: int = 403
    failures: deque[int | str] = field(default_factory=deque)
    fail_every: int = 0
    answers: float = float("inf")
    whole: tuple[str, ...] | None = None
    parts: bool = True
    latency: float = 0.0
    url: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    bytes: int = 0
    meeting: threading.Barrier | None = None
    tokens: dict[str, list[float]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    @property
    def reads(self) -> int:
        """How many requests were for pixels."""
        return sum(method == "GET" for method, *_ in self.requests)

    def new_token(self) -> str:
        """Return a token that is good from now on."""
        with self.lock:
            token = f"sEcReT-{next(self.numbers)}-{id(self):x}"
            self.tokens[token] = [self.uses or float("inf"), time.time() + self.lifetime]
        return token

    def may_read(self, query: str, header: str, payer: str) -> int:
        """Return 200, or the status of a refusal; a use of the token is counted."""
        if self.access == "open":
            return 200
        if self.access == "s3":
            return 200 if header.startswith("AWS4-HMAC") and payer == "requester" else 403
        token = header.removeprefix("Bearer ")
        if self.access == "sas":
            token = parse_qs(query).get("sig", [""])[0]
        if token not in self.tokens:
            return 401 if self.access == "bearer" else 403
        with self.lock:
            left = self.tokens[token]
            left[0] -= 1
            return 200 if left[0] >= 0 and time.time() < left[1] else self.expired

    def failure(self, path: str, asked: str) -> int | str | None:
        """Return how a request for pixels fails, if it does."""
        with self.lock:
            if self.failures:
                return self.failures.popleft()
            self.answers -= 1
            if self.answers < 0:
                return 503
            if self.whole is not None and not asked.startswith("bytes=0-"):
                return None if Path(path).stem in self.whole else 503
            return 503 if self.fail_every and self.reads % self.fail_every == 0 else None


class _Handler(BaseHTTPRequestHandler):
    store: Store
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        time.sleep(self.store.latency)
        if self.store.meeting:
            self.store.meeting.wait(60)
        parts = urlsplit(self.path)
        if parts.path.startswith(_TOKENS):
            end = datetime.now(UTC) + timedelta(seconds=self.store.lifetime)
            token = f"sv=1&sig={self.store.new_token()}"
            self._json({"token": token, "msft:expiry": end.isoformat().replace("+00:00", "Z")})
            return
        asked = self.headers.get("Range", "")
        self.store.requests.append((self.command, parts.path, asked))
        header = self.headers.get("Authorization", "")
        status = self.store.may_read(
            parts.query, header, self.headers.get("x-amz-request-payer", "")
        )
        path = self.store.folder / parts.path.lstrip("/")
        failure = self.store.failure(parts.path, asked) if self.command == "GET" else None
        if status == 200 and not path.is_file():
            status = 404
        if status != 200 or isinstance(failure, int):
            self._send(b"", failure if isinstance(failure, int) else status)
        elif failure == "html":
            self._send(b"<html>maintenance</html>", 200, {"Content-Type": "text/html"})
        else:
            self._file(path, asked, cut=failure == "truncated")

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form.get("password") != [PASSWORD]:
            self._send(b"", 401)
            return
        token = self.store.new_token()
        self._json({"access_token": token, "expires_in": self.store.lifetime})

    def _file(self, path: Path, asked: str, *, cut: bool) -> None:
        size = path.stat().st_size
        found = _RANGE.match(asked) if self.store.parts else None
        first = int(found[1]) if found else 0
        last = min(int(found[2]), size - 1) if found and found[2] else size - 1
        with path.open("rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        headers = {"Accept-Ranges": "bytes", "Content-Type": "image/tiff"}
        if found:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._send(body, 206 if found else 200, headers, cut=cut)

    def _json(self, tree: dict[str, Any]) -> None:
        self._send(json.dumps(tree).encode(), 200, {"Content-Type": "application/json"})

    def _send(
        self, body: bytes, status: int, headers: dict[str, str] | None = None, *, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = body[: len(body) // 2] if cut else body
        self.store.bytes += len(body)
        self.wfile.write(body)
        self.close_connection |= cut

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server
        """Keep quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: GDAL hangs up when it has enough."""


@contextmanager
def serving_files(store: Store) -> Iterator[Store]:
    """Serve a folder on the loopback address."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": store}))
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def as_cogs(items: list[dict[str, Any]], keys: tuple[str, ...], folder: Path) -> None:
    """Write a corner of the items' local assets as COGs, which need no files beside them."""
    for item in items:
        (folder / "blobs" / item["id"]).mkdir(parents=True)
        for key in keys:
            with rasterio.open(item["assets"][key]["href"]) as source:
                window = Window.from_slices(*CORNER)
                numbers = source.read(window=window)
                profile = {"crs": source.crs, "transform": source.window_transform(window)}
            count, height, width = numbers.shape
            size = {"count": count, "height": height, "width": width, "dtype": numbers.dtype}
            how: dict[str, Any] = {"driver": "COG", "compress": "deflate", "blocksize": 128}
            with rasterio.open(_cog(folder, item, key), "w", **how, **size, **profile) as file:
                file.write(numbers)


def at_address(
    items: list[dict[str, Any]], keys: tuple[str, ...], root: str | Path
) -> list[dict[str, Any]]:
    """Return the items with those assets alone, at an address or in a folder."""
    return [
        item
        | {
            "assets": {
                key: item["assets"][key] | {"href": f"{root}/blobs/{item['id']}/{key}.tif"}
                for key in keys
            }
        }
        for item in items
    ]


def _cog(folder: Path, item: dict[str, Any], key: str) -> Path:
    return folder / "blobs" / item["id"] / f"{key}.tif"
