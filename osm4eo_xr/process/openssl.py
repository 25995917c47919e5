"""Errors of OpenSSL: what a broken connection leaves must not end a healthy one of its thread.

From OpenSSL 3.4 on, CPython (3.12.9, 3.13.2 and later) leaves the error of a connection whose peer
has gone in the thread's queue, and takes it for that of the connection it looks at next
(https://github.com/python/cpython/issues/148594). All connections of a dask cluster share a thread:
one worker that went would take others with it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

_UNDISTURBED = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""Raised each time that a connection has nothing to read; nothing is left then."""


def _tidied(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call that empties its thread's queue when it fails."""

    @wraps(call)
    def tidied(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except _UNDISTURBED:
            raise
        except OSError:
            forget_errors()
            raise

    return tidied


class TidySocket(ssl.SSLSocket):
    """A connection that leaves no error in its thread's queue.

    ``recv`` and ``recv_into`` call ``read``.
    """

    @_tidied
    def do_handshake(self, *args: Any, **kwargs: Any) -> None:
        """As ``SSLSocket.do_handshake``."""
        super().do_handshake(*args, **kwargs)

    @_tidied
    def read(self, *args: Any, **kwargs: Any) -> Any:
        """As ``SSLSocket.read``."""
        return super().read(*args, **kwargs)

    @_tidied
    def send(self, *args: Any, **kwargs: Any) -> int:
        """As ``SSLSocket.send``."""
        return super().send(*args, **kwargs)


def keep_connections_apart() -> None:
    """Make the connections that this process opens from now on ``TidySocket``."""
    ssl.SSLContext.sslsocket_class = TidySocket


def forget_errors() -> None:
    """Empty this thread's queue of errors."""
    with suppress(ssl.SSLError):  # Python empties it where a name of ciphers is not known
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none that is known")
