"""Where it runs: local processes, batch systems, allocations, and the doctor.

What others may use:

- ``clusters``: ``open_cluster``, ``dashboard_url``: workers here or in a batch system's jobs
- ``allocation``: ``open_allocation``: the tasks of one Slurm job step as workers
- ``device_tasks``: ``device_annotations``, ``device_client``: which workers do tasks on the device
- ``site``: the frozen settings of one cluster
- ``site_file``: ``load_site``: a site's YAML file, by name or path
- ``doctor``: would a run work here and on a cluster's workers
- ``worker``: what a worker process does first
"""
