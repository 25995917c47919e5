"""A headless Chromium, spoken to over pipes by its DevTools protocol."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium (apt install chromium)"
)

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--window-size=1200,800",
    "--remote-debugging-pipe",
)


class Page:
    """One tab: what it asks for, what it logs, and what its scripts say."""

    def __init__(self, to: int, out: int) -> None:
        self._to, self._out, self._rest = to, out, b""
        self._ids, self._session = itertools.count(1), ""
        self.requests: list[str] = []
        self.problems: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        message = {"id": next(self._ids), "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._out, 1 << 20)
            assert piece, "Chromium has ended"
            self._rest += piece
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.problems.append(str(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.problems.append(f"{params['entry']['text']} {params['entry'].get('url')}")

    def run(self, script: str) -> Any:
        """Return what an expression, or the promise it makes, comes to."""
        told = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def open(self, address: str, ready: str) -> None:
        """Load an address and wait until an expression is true."""
        self.send("Page.navigate", url=address)
        self.wait(ready)

    def wait(self, ready: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + seconds
        while not self.run(f"Boolean({ready})"):
            assert time.monotonic() < until, (ready, self.problems)
            time.sleep(0.1)

    def click(self, x: float, y: float) -> None:
        """Press and let go the left button."""
        for kind in ("mousePressed", "mouseReleased"):
            at = {"x": x, "y": y, "button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, **at)

    def picture(self, path: Path) -> None:
        """Save what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Start a browser with its profile in a folder."""
    assert CHROMIUM is not None
    to_read, to_write = os.pipe()
    out_read, out_write = os.pipe()

    def place() -> None:  # the browser reads from 3 and writes to 4
        held = os.dup(to_read), os.dup(out_write)
        os.dup2(held[0], 3)
        os.dup2(held[1], 4)

    process = subprocess.Popen(
        [CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
        preexec_fn=place,  # noqa: PLW1509 - no other way to numbers 3 and 4
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(out_write)
    try:
        yield Page(to_write, out_read)
    finally:
        process.terminate()
        process.wait(20)
        os.close(to_write)
        os.close(out_read)
