"""A TLS connection that breaks leaves no error of OpenSSL to the others of its thread."""

import ctypes
import importlib
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from distributed import Security

from osm4eo_xr.process import openssl
from osm4eo_xr.process.openssl import TidySocket, forget_errors, keep_connections_apart

Pair = tuple[ssl.SSLSocket, ssl.SSLSocket]


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", ssl.SSLSocket)
    keep_connections_apart()


@pytest.fixture
def queue() -> Any:
    """The functions of OpenSSL that Python's module uses."""
    library = ctypes.CDLL(importlib.import_module("_ssl").__file__)
    if not hasattr(library, "ERR_set_error"):
        pytest.skip("OpenSSL before 3, or one that hides its functions")
    library.ERR_peek_error.restype = ctypes.c_ulong
    return library


def leave_an_error(queue: Any) -> None:
    queue.ERR_new()
    queue.ERR_set_error(2, 32, None)  # ERR_LIB_SYS, EPIPE
    assert queue.ERR_peek_error() != 0


@pytest.fixture
def connect() -> Iterator[Any]:
    """Make a connection: its two ends."""
    security = Security.temporary()
    contexts = (
        security.get_connection_args("client")["ssl_context"],
        security.get_listen_args("scheduler")["ssl_context"],
    )
    opened: list[ssl.SSLSocket] = []

    def make() -> Pair:
        ends = socket.socketpair()
        with ThreadPoolExecutor(2) as pool:
            client = pool.submit(contexts[0].wrap_socket, ends[0])
            server = pool.submit(contexts[1].wrap_socket, ends[1], server_side=True)
            pair = client.result(), server.result()
        opened.extend(pair)
        return pair

    yield make
    for end in opened:
        end.close()


def test_the_queue_is_emptied(queue: Any) -> None:
    leave_an_error(queue)
    forget_errors()
    assert queue.ERR_peek_error() == 0


@pytest.mark.parametrize(
    ("name", "arguments"), [("read", (9,)), ("send", (b"word",)), ("do_handshake", ())]
)
def test_a_call_that_fails_leaves_nothing(
    name: str, arguments: Any, queue: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fails(*_arguments: Any) -> None:
        leave_an_error(queue)
        raise BrokenPipeError(32, "Broken pipe")

    end, _ = connect()
    assert isinstance(end, TidySocket)
    monkeypatch.setattr(ssl.SSLSocket, name, fails)
    with pytest.raises(BrokenPipeError):
        getattr(end, name)(*arguments)
    assert queue.ERR_peek_error() == 0


def test_a_connection_that_has_nothing_to_read_costs_no_more(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[None] = []
    monkeypatch.setattr(openssl, "forget_errors", lambda: emptied.append(None))
    end, other = connect()
    end.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        end.recv(9)
    assert emptied == []
    other.close()
    with suppress(OSError):
        end.send(b"word")
    assert emptied == [None]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("calls", ["r", "sr", "rr", "sss"])
def test_a_healthy_connection_goes_on_where_another_broke(
    calls: str, side: int, connect: Any
) -> None:
    broken, healthy = connect(), connect()
    broken[1 - side].close()
    for call in calls:
        with suppress(OSError):
            broken[side].recv(9) if call == "r" else broken[side].send(b"word")
    healthy[side].setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        healthy[side].recv(9)
    healthy[1 - side].send(b"word")
    healthy[side].setblocking(True)
    assert healthy[side].recv(9) == b"word"
