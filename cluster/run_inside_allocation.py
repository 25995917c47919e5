"""A whole country run inside one Slurm allocation: no job is submitted from within.

    srun -n 6 --gpus-per-task=1 python cluster/run_inside_allocation.py country.toml [cluster]

Task 0 is the dask scheduler, task 1 runs this script, each further task is a worker. The cluster
is one of the kind "local", which it is if left out; it says how many threads and how much memory a
worker has.
"""

import sys

from osm4eo_xr import open_allocation, run_country

with open_allocation(*sys.argv[2:3]):
    run_country(sys.argv[1])
