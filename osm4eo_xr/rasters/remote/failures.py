"""What goes wrong with addresses, in one line and without secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STATUS = re.compile(
    r"(?:HTTP response code|response_code|HTTP Error|HTTP error code)\D{0,3}(\d{3})"
)

REFUSED = (401, 403)
MISSING = (404, 410)

NO_PARTS = "the server gives no parts of files"
"""What is said where a server answers a request for a part with all of the file."""


class RemoteError(OSError):
    """An address that cannot be read now: the server fails, or it refuses us.

    It is no ``RasterioIOError``, which a caller may take for a file that is not there: what a
    server fails to give is never taken for no data.
    """


@dataclass(frozen=True)
class Failure:
    """How an attempt failed.

    Attributes
    ----------
    reason : str
        In words, without secrets.
    status : int
        The server's answer; 0 where GDAL keeps it to itself.
    """

    reason: str
    status: int = 0

    @property
    def is_refusal(self) -> bool:
        """Whether other credentials might help."""
        return self.status in REFUSED

    @property
    def is_missing(self) -> bool:
        """Whether nothing is there, as far as the server says."""
        return self.status in MISSING

    @property
    def is_whole(self) -> bool:
        """Whether the server gives whole files alone, which it will do again."""
        return self.reason == NO_PARTS


def innermost(error: BaseException) -> str:
    """Return what the first of a chain of errors says, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())


def status_in(text: str) -> int:
    """Return the status of HTTP that a message of GDAL or Python names, or 0."""
    found = _STATUS.search(text)
    return int(found[1]) if found else 0
