"""A whole country run inside one Slurm allocation: no job is submitted from within.

    srun -n 6 --gpus-per-task=1 python cluster/run_inside_allocation.py country.toml

Task 0 is the dask scheduler, task 1 runs this script, each further task is a worker.
"""

import os
import sys

from dask_jobqueue.slurm import SLURMRunner
from distributed import Client

from osm4eo_xr import run_country

scratch = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - spilled data, on the node's own disk
with (
    SLURMRunner(worker_options={"local_directory": scratch}) as runner,
    Client(runner) as client,
):
    client.wait_for_workers(runner.n_workers)
    run_country(sys.argv[1])
    client.shutdown()
