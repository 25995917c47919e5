"""Another user of this machine, who tries to get into a cluster.

Run as a script by root: it loads what it needs, becomes user 65534 and prints what it got.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from distributed import Client, Security
from distributed.comm.core import connect

NOBODY = 65534
SECONDS = 5


def try_to_enter(client: Client, folder: Path | None = None) -> dict[str, str]:
    """Try each way into a cluster's scheduler and workers; return what each gave."""
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    nannies = [w["nanny"] for w in workers.values() if w["nanny"]]
    scheduler: Any = client.scheduler
    addresses = [scheduler.address, *workers, *nannies]
    script = [sys.executable, "-m", "tests.cases.intruder", str(folder or ""), *addresses]
    # The whole of this test is about a process that another user starts.
    done = subprocess.run(
        script, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    return json.loads(done.stdout)


async def _enter(address: str, security: Security | None) -> str:
    arguments = security.get_connection_args("client") if security else {}
    try:
        comm = await connect(address, timeout=SECONDS, deserialize=False, **arguments)
        await asyncio.wait_for(comm.write({"op": "identity", "reply": True}), SECONDS)
        answer = await asyncio.wait_for(comm.read(), SECONDS)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it did not get in
        return f"refused: {type(error).__name__}"
    return f"entered: {answer['type']}"


def _read(folder: Path) -> str:
    try:
        return f"entered: {[p.read_text() for p in folder.iterdir()]}"
    except PermissionError as error:
        return f"refused: {type(error).__name__}"


async def _try_all(addresses: list[str], security: Security) -> dict[str, str]:
    return {
        f"{kind} {k}": await _enter(f"{kind}://{address.partition('://')[2]}", key)
        for k, address in enumerate(addresses)
        for kind, key in (("tcp", None), ("tls", security))
    }


if __name__ == "__main__":
    key = Security.temporary()  # a key, but not the cluster's
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    got = asyncio.run(_try_all(sys.argv[2:], key))
    if sys.argv[1]:
        got["key"] = _read(Path(sys.argv[1]))
    print(json.dumps(got))  # noqa: T201
