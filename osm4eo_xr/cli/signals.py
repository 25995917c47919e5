"""SIGTERM and SIGINT: whatever a command is doing, it ends within five seconds, without remains.

An exception that a signal handler raises gets lost when foreign code happens to be running, say a
callback of GDAL; and no handler runs while compiled code holds the main thread. So a thread of its
own learns of the signal too, through a pipe, gives the main thread time to close what it has open,
and ends the process.

What this process leaves behind in the system, the tracker of ``multiprocessing`` removes when its
processes have ended; its warning of that would come after the last line.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from osm4eo_xr.files import remove_unfinished
from osm4eo_xr.process.endings import close_all
from osm4eo_xr.process.environment import with_variables

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_FOR_MAIN_THREAD = 2.0  # seconds in which it may unwind by itself
_FOR_CLOSING = 1.0  # seconds for what it did not come to
_FOR_REMOVING = 0.5  # in all well below the five seconds, for nodes that are busy

_UNTOUCHED = "outputs are as they were before"
_stays = _UNTOUCHED
_ending = threading.Lock()


class Ended(BaseException):
    """Raised in the main thread when a signal asks the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def on_signal_stays(text: str) -> None:
    """Say what remains of this command's work if a signal ends it."""
    global _stays  # noqa: PLW0603 - one command runs in a process
    _stays = text


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """End the process cleanly on SIGTERM (exit code 143) and SIGINT (130) within the block."""
    on_signal_stays(_UNTOUCHED)
    asked = _Asked()
    read, write = os.pipe()
    os.set_blocking(write, False)
    handlers = {number: signal.signal(number, asked) for number in SIGNALS}
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    hook, sys.unraisablehook = sys.unraisablehook, _silent_on_ended(sys.unraisablehook)
    threading.Thread(target=_watch, args=(read, asked.over), daemon=True, name="signals").start()
    try:
        with with_variables(_silent_tracker()):
            yield
    except BaseException as error:
        done = isinstance(error, SystemExit) and not error.code
        if asked.number and not done:
            _end(asked.number)
        raise
    finally:
        asked.over.set()
        signal.set_wakeup_fd(wakeup)
        sys.unraisablehook = hook
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(write)  # the thread reads the end and goes


class _Asked:
    """The handler: unwinds the main thread, once."""

    def __init__(self) -> None:
        self.number = 0
        self.over = threading.Event()

    def __call__(self, number: int, _frame: Any) -> None:
        if not self.number:
            self.number = number
            raise Ended(number)


def _silent_tracker() -> dict[str, str]:
    """Return what keeps the tracker from warning; it reads this when it is started."""
    others = [part for part in os.environ.get("PYTHONWARNINGS", "").split(",") if part]
    return {"PYTHONWARNINGS": ",".join([*others, "ignore:resource_tracker:UserWarning"])}


def _silent_on_ended(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """Leave out what Python says of an ``Ended`` that a foreign callback swallowed.

    And of GDAL's words on a damaged file that rasterio cannot decode to log them: opening it fails.
    """

    def report(event: Any) -> None:
        logging = "rasterio" in str(event.object) and isinstance(event.exc_value, UnicodeError)
        if not (logging or isinstance(event.exc_value, Ended)):
            hook(event)

    return report


def _watch(pipe: int, over: threading.Event) -> None:
    """Wait for a signal's number in the pipe; then see to it that the process ends."""
    with os.fdopen(pipe, "rb", buffering=0) as numbers:
        while byte := numbers.read(1):
            if byte[0] not in SIGNALS:
                continue
            if over.wait(_FOR_MAIN_THREAD):
                return
            closing = threading.Thread(target=close_all, daemon=True)
            closing.start()
            closing.join(_FOR_CLOSING)
            _end(byte[0])


def _end(number: int) -> NoReturn:
    """Remove what is unfinished, say so and leave; threads of libraries do not hold this up."""
    _ending.acquire(timeout=_FOR_REMOVING)  # whoever comes second lets the first finish
    remove_unfinished()
    show_cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""
    line = f"{show_cursor}error: ended by {signal.Signals(number).name}; {_stays}\n"
    with suppress(OSError):
        os.write(2, line.encode())
    os._exit(128 + number)  # as shells say it


def _leave_to_parent() -> None:
    """Give a forked process the default handlers: its signals are not this process's."""
    for number in SIGNALS:
        if isinstance(signal.getsignal(number), _Asked):
            signal.set_wakeup_fd(-1)
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_leave_to_parent)
