"""Functions that numba compiles and keeps for the next process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles without the GIL, for kernels that call other modules' parts.

    numba keeps what it compiled as long as the function's own file stays the same, also where a
    part that the function calls has changed. Here it is kept as long as the whole folder does.

    Parameters
    ----------
    **options
        As ``numba.njit`` takes them.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        make: Any = numba.njit  # typed without some of its options
        found = make(nogil=True, cache=True, **options)(function)
        # None if numba, some day, keeps what is compiled in another way.
        kept = getattr(found._cache, "_cache_file", None)  # noqa: SLF001 - numba has no public way
        if kept is not None:
            folder = Path(function.__code__.co_filename).parent
            kept._source_stamp = (kept._source_stamp, _digest(folder))  # noqa: SLF001 - likewise
        return found

    return decorate


@cache
def _digest(folder: Path) -> str:
    """Return the hash of a folder's modules."""
    found = sha256()
    for file in sorted(folder.glob("*.py")):
        found.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()
