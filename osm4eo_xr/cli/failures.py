"""How a command ends that fails: one line, whichever library the error is from."""

from __future__ import annotations

import logging
import tempfile
import traceback
from pathlib import Path

from osm4eo_xr._version import __version__
from osm4eo_xr.cli.console import print_error
from osm4eo_xr.errors import InputError, Spell, as_argument
from osm4eo_xr.files import full_disk
from osm4eo_xr.process.node import explain

logger = logging.getLogger(__name__)

FAILED = 1
UNFORESEEN = 70  # EX_SOFTWARE of sysexits.h

# Packages whose errors tell of files: what they say is fit to be read.
_READERS = {"rasterio", "pyogrio", "pyarrow", "osmium", "_osmium", "zarr", "numcodecs", "pyproj"}


def report_failure(error: Exception, spell: Spell = as_argument) -> int:
    """Print the one line of an error and return the exit code.

    Parameters
    ----------
    error : Exception
        What ended the command.
    spell : callable
        How the command spells the parameters that the error advises.

    Returns
    -------
    int
        1 for input, files and disks; 70 for what nobody foresaw, whose traceback is saved.
    """
    if isinstance(error, InputError):
        print_error(error.line(spell))
    elif full_disk(error):
        print_error(f"the disk is full: {_place(error)}make room, or write elsewhere")
    elif (lack := explain(error)) is not None:
        print_error(lack)
    elif isinstance(error, OSError) and error.filename:
        print_error(f"{error.strerror or error}: {error.filename}")
    elif isinstance(error, OSError) or _of_a_reader(error):
        print_error(str(error) or type(error).__name__)
    else:
        logger.debug("traceback", exc_info=error)
        print_error(
            f"unforeseen {type(error).__name__}: {error}; this is a mistake of osm4eo-xr "
            f"{__version__}, please report it{_saved(error)}"
        )
        return UNFORESEEN
    return FAILED


def _place(error: BaseException) -> str:
    """Name the folder that is full, if any error of the chain knows it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and isinstance(seen.filename, str):
            path = Path(seen.filename)
            return f"no space left in {path if path.is_dir() else path.parent}; "
        seen = seen.__cause__ or seen.__context__
    return ""


def _of_a_reader(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, is of a package that reads files."""
    while error is not None:
        if any(kind.__module__.partition(".")[0] in _READERS for kind in type(error).__mro__):
            return True
        if isinstance(error, RuntimeError) and _raised_in(error) in _READERS:
            return True
        error = error.__cause__
    return False


def _raised_in(error: BaseException) -> str:
    """Return the package whose code raised an error."""
    trace, package = error.__traceback__, ""
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        trace = trace.tb_next
    return package


def _saved(error: Exception) -> str:
    """Save an error's traceback in the temporary folder and say where."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="osm4eo-xr-", suffix=".traceback.txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"osm4eo_xr {__version__}\n{text}")
    except OSError:
        return f" with these lines:\n{text}"
    return f" with {file.name}"
