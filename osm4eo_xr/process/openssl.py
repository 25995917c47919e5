"""Errors of OpenSSL: what a broken connection leaves must not end a healthy one of its thread.

From OpenSSL 3.4 on, CPython (3.12.9, 3.13.2 and later) leaves the error of a connection whose peer
has gone in the thread's queue, and takes it for that of the connection it looks at next
(https://github.com/python/cpython/issues/148594). All connections of a dask cluster share a thread:
one worker that went would take others with it.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any


class TidySocket(ssl.SSLSocket):
    """A connection that leaves no error in its thread's queue."""

    def do_handshake(self, *args: Any, **kwargs: Any) -> None:
        """As ``SSLSocket.do_handshake``."""
        try:
            super().do_handshake(*args, **kwargs)
        except OSError:
            forget_errors()
            raise

    def read(self, *args: Any, **kwargs: Any) -> Any:
        """As ``SSLSocket.read``, which ``recv`` and ``recv_into`` call."""
        try:
            return super().read(*args, **kwargs)
        except OSError:
            forget_errors()
            raise

    def send(self, *args: Any, **kwargs: Any) -> int:
        """As ``SSLSocket.send``."""
        try:
            return super().send(*args, **kwargs)
        except OSError:
            forget_errors()
            raise


def keep_connections_apart() -> None:
    """Make the connections that this process opens from now on ``TidySocket``."""
    ssl.SSLContext.sslsocket_class = TidySocket


def forget_errors() -> None:
    """Empty this thread's queue of errors."""
    with suppress(ssl.SSLError):  # Python empties it where a name of ciphers is not known
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none that is known")
