"""What TLS costs between the processes of a cluster: tasks and bytes per second, with and without.

python tests/benchmarks/cluster_security.py
"""

import statistics
import time

import numpy as np
from distributed import Client, wait

from osm4eo_xr import open_cluster

TASKS = 2000
MEGABYTES = 200
RUNS = 5
TWO = {"gpu": None, "cpu": {"processes": 2, "threads": 1}, "environment": {"JAX_PLATFORMS": "cpu"}}


def tasks_per_second(client: Client) -> float:
    begin = time.perf_counter()
    client.gather(client.map(lambda k: k, range(TASKS), pure=False))
    return TASKS / (time.perf_counter() - begin)


def megabytes_per_second(client: Client) -> float:
    """Move one array from a worker to the other."""
    first, second = client.scheduler_info(n_workers=-1)["workers"]
    made = client.submit(np.ones, MEGABYTES * 125_000, workers=[first], pure=False)
    wait(made)
    begin = time.perf_counter()
    client.submit(len, made, workers=[second], pure=False).result()
    return MEGABYTES / (time.perf_counter() - begin)


def measure(*, tls: bool) -> tuple[float, float]:
    with open_cluster("local", tls=tls, **TWO) as client:
        tasks_per_second(client)
        tasks = statistics.median(tasks_per_second(client) for _ in range(RUNS))
        return tasks, statistics.median(megabytes_per_second(client) for _ in range(RUNS))


def main() -> None:
    with_tls, without = measure(tls=True), measure(tls=False)
    print(f"{'':14}{'TLS':>10}{'without':>10}{'ratio':>8}   medians of {RUNS}")
    for name, a, b in zip(("tasks / s", "MB / s"), with_tls, without, strict=True):
        print(f"{name:14}{a:>10.0f}{b:>10.0f}{a / b:>8.2f}")


if __name__ == "__main__":
    main()
