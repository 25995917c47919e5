"""Objects written piece by piece: bounded also where no length is stated, and never mixed up."""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters.remote import attempts
from osm4eo_xr.rasters.remote.downloads import download
from osm4eo_xr.rasters.remote.failures import RemoteError

CONTENT = bytes(range(256)) * 40


class Server:
    """Answers each request as the next of its plans says: bytes from, bytes to, what is stated."""

    def __init__(self) -> None:
        self.plans: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range", "")
        self.asked.append(asked)
        plan = self.plans.pop(0) if self.plans else {}
        start = int(asked[6:-1]) if asked and plan.get("parts", True) else 0
        body = plan.get("content", CONTENT)[start:]
        handler.send_response(plan.get("status", 206 if start else 200))
        if plan.get("length", True):
            handler.send_header("Content-Length", str(len(body)))
        if start:
            shown = plan.get("shown", start)
            handler.send_header("Content-Range", f"bytes {shown}-{len(body)}/*")
        handler.end_headers()
        handler.wfile.write(body[: plan.get("cut", len(body))])
        handler.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(attempts, "pause", 0.0)
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.answer(self)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server
            """Keep quiet."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{running.server_address[1]}/a.bin"
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    running.shutdown()
    running.server_close()
    thread.join()


def get(server: Server, most: int = 10**6, query: str = "") -> bytes:
    held = io.BytesIO()
    assert download(server.url + query, held, most) == len(held.getvalue())
    return held.getvalue()


@pytest.mark.parametrize("length", [True, False])
def test_an_object_is_written_whole_with_or_without_a_stated_length(
    server: Server, length: bool
) -> None:
    server.plans = [{"length": length}]
    assert get(server) == CONTENT
    assert server.asked == [""]


def test_what_is_cut_off_goes_on_where_it_was(server: Server) -> None:
    server.plans = [{"cut": 1000}, {"cut": 500}, {}]
    assert get(server) == CONTENT
    assert server.asked == ["", "bytes=1000-", "bytes=1500-"]


def test_a_server_without_parts_gives_all_again_and_it_is_not_appended(server: Server) -> None:
    server.plans = [{"cut": 1000}, {"parts": False}]
    assert get(server) == CONTENT


def test_another_part_than_was_asked_for_is_not_appended(server: Server) -> None:
    """The answer says that it begins elsewhere: what is there is thrown away, not mixed up."""
    server.plans = [{"cut": 1000}, {"shown": 7, "cut": 10}, {"cut": 2000}, {}]
    assert get(server) == CONTENT
    assert server.asked == ["", "bytes=1000-", "", "bytes=2000-"]


@pytest.mark.parametrize("length", [True, False])
def test_more_than_it_may_have_is_refused_whether_it_is_stated_or_not(
    server: Server, length: bool
) -> None:
    server.plans = [{"length": length}]
    held = io.BytesIO()
    with pytest.raises(InputError) as refused:
        download(f"{server.url}?sig=secret", held, 100)
    assert refused.value.given == f"{server.url} has more bytes than it may"
    assert refused.value.expected == "at most 100"
    assert "secret" not in str(refused.value)
    if length:
        assert not held.getvalue()  # refused before a byte was written


def test_exactly_as_many_as_it_may_have_is_right(server: Server) -> None:
    assert get(server, len(CONTENT)) == CONTENT


def test_what_is_not_there_is_an_input_and_a_failing_server_is_not(server: Server) -> None:
    server.plans = [{"status": 404}]
    with pytest.raises(InputError):
        get(server)
    server.plans = [{"status": 503}] * 50
    with pytest.raises(RemoteError):
        get(server)
    server.plans = [{"status": 503}, {}]
    assert get(server) == CONTENT


@pytest.mark.parametrize("address", ["s3://bucket/a.bin", "ftp://x.org/a.bin", "/local/a.bin"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises((InputError, RemoteError)):
        download(address, io.BytesIO(), 10)
