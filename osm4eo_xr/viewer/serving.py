"""A static folder on the loopback address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from osm4eo_xr.errors import InputError

LOOPBACK = "127.0.0.1"


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def end_headers(self) -> None:
        """Let the browser ask again, as a folder may be made anew under the same address."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve a folder to this machine alone while the block runs; yields its address.

    Parameters
    ----------
    folder : Path
        What is served; nothing outside it is.
    port : int
        0 takes one that is free.

    Raises
    ------
    InputError
        If the port is taken or not allowed.
    """
    handler = partial(_Quiet, directory=str(folder))
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), handler)
    except OSError as error:
        raise InputError(
            f"port {port} cannot be opened ({error.strerror})",
            advice="give another port, or none and one that is free is taken {port=0}",
        ) from None
    with server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
