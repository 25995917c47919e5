"""Sites: the frozen, validated settings of one cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from osm4eo_xr.cluster.gpus import asks_for_gpus
from osm4eo_xr.cluster.quantities import (  # noqa: TC001 - read from the hints
    Bytes,
    Seconds,
    Variable,
)
from osm4eo_xr.errors import InputError
from osm4eo_xr.names import check_name, counted

MIB = 1024**2

_SMALLEST_PROCESS = 256 * MIB


@dataclass(frozen=True)
class LocalWorkers:
    """Worker processes on this machine.

    Attributes
    ----------
    processes : int, optional
        Worker processes; left out, as many as fit (one per GPU, or one per 4 cores).
    threads : int, optional
        Task threads per process; left out, those with GPUs share half of the cores, others all.
    memory : int, optional
        Bytes per process above which a worker is restarted; left out, a fair share of this machine.
    """

    processes: int | None = None
    threads: int | None = None
    memory: Bytes | None = None

    def __post_init__(self) -> None:
        for name in ("processes", "threads"):
            _at_least(name, getattr(self, name), 1)
        _at_least("memory", self.memory, _SMALLEST_PROCESS, "bytes per process")


@dataclass(frozen=True)
class JobWorkers:
    """Worker jobs of one kind under a batch system.

    Attributes
    ----------
    jobs : int
        Jobs kept running from the start, also when some die.
    maximum_jobs : int, optional
        Jobs at most while many tasks wait; left out, never more than ``jobs``.
    processes : int
        Worker processes per job; with GPUs it must equal ``gpus``.
    threads : int
        Task threads per process.
    memory : int
        Bytes per job.
    gpus : int
        GPUs per job; 0 for jobs that read, sieve and write.
    walltime : int
        Seconds a job may run.
    queue : str, optional
        Partition or queue.
    directives : tuple of str
        Further directives, each as written after ``#SBATCH`` or ``#PBS``. One of Slurm's that asks
        for GPUs, such as ``--gres=gpu:A100:1`` or ``-G 1``, takes the place of ours.
    resources : str, optional
        PBS and Moab: the whole resource line after ``-l``; left out, made from the figures above.
    """

    ALSO: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("nodes", "n_workers"), "jobs"),
        **dict.fromkeys(("ntasks", "ntasks_per_node", "tasks"), "processes"),
        **dict.fromkeys(("cpus_per_task", "cpus", "ncpus", "ppn", "cores"), "threads"),
        **dict.fromkeys(("mem", "ram"), "memory"),
        **dict.fromkeys(("ngpus", "gpus_per_node", "gpus_per_task"), "gpus"),
        **dict.fromkeys(("time", "timelimit"), "walltime"),
        "partition": "queue",
        **dict.fromkeys(("gres", "qos", "constraint", "exclusive", "reservation"), "directives"),
        "select": "resources",
    }
    """Keys by the words that batch systems have for them."""

    jobs: int = 1
    maximum_jobs: int | None = None
    processes: int = 1
    threads: int = 4
    memory: Bytes = 16 * 1024 * MIB
    gpus: int = 0
    walltime: Seconds = 4 * 3600
    queue: str | None = None
    directives: tuple[str, ...] = ()
    resources: str | None = None

    def __post_init__(self) -> None:
        _at_least("jobs", self.jobs, 0)
        if self.jobs == 0 and self.maximum_jobs is None:
            raise InputError(
                "jobs: 0 without maximum_jobs, so none would ever start",
                advice="give maximum_jobs, or leave the section out",
            )
        _at_least("maximum_jobs", self.maximum_jobs, max(self.jobs, 1))
        for name in ("processes", "threads"):
            _at_least(name, getattr(self, name), 1)
        _at_least("gpus", self.gpus, 0)
        _at_least("walltime", self.walltime, 60, "seconds")
        _at_least("memory", self.memory // self.processes, _SMALLEST_PROCESS, "bytes per process")
        if self.gpus and self.gpus != self.processes:
            raise InputError(
                f"processes: {self.processes} with gpus: {self.gpus}; one process owns one GPU, "
                f"set processes: {self.gpus}"
            )

    @property
    def cores(self) -> int:
        """CPU cores per job."""
        return self.processes * self.threads

    @property
    def numbers(self) -> str:
        """How many jobs there are, in words."""
        most = max(self.jobs, self.maximum_jobs or 0)
        return f"{counted(self.jobs, 'job')} from the start, at most {most}"

    @property
    def walltime_text(self) -> str:
        """The wall time as ``HH:MM:SS``."""
        minutes, seconds = divmod(self.walltime, 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


@dataclass(frozen=True)
class Site:
    """What every cluster states.

    Attributes
    ----------
    name : str
        Name of the YAML file without its suffix.
    title : str
        One line for people.
    scratch : str
        Node-local folder for spilled data; the worker's shell puts in variables and ``~``.
    gdal_cache : int
        Bytes of GDAL's block cache per worker process.
    gdal_threads : int
        Threads GDAL may use for compression inside one call.
    environment : mapping of str
        Further variables of every worker process, set before jax is imported.
    dashboard : str
        Address of the dask dashboard, ``":8787"`` or ``":0"`` for any free port: on the loopback
        address, unless a host stands before the port.
    tls : bool
        Whether processes speak TLS. Without, whoever reaches a port runs code as the owner.
    interface : str, optional
        Network interface between scheduler and workers, for example ``ib0``.
    allowed_failures : int
        Workers that may die under one task before the task is blamed for it.
    start_timeout : int
        Seconds in which local worker processes must have come up.
    """

    kind: ClassVar[str]

    name: str = ""
    title: str = ""
    scratch: str = "${TMPDIR:-/tmp}"
    gdal_cache: Bytes = 256 * MIB
    gdal_threads: int = 1
    environment: Mapping[str, Variable] = field(default_factory=dict, hash=False)
    dashboard: str = ":0"
    tls: bool = True
    interface: str | None = None
    allowed_failures: int = 10
    start_timeout: Seconds = 120

    def __post_init__(self) -> None:
        if self.name:
            check_name(self.name, "cluster name")
        _at_least("gdal_cache", self.gdal_cache, 16 * MIB, "bytes")
        _at_least("gdal_threads", self.gdal_threads, 1)
        _at_least("allowed_failures", self.allowed_failures, 0)
        _at_least("start_timeout", self.start_timeout, 1, "seconds")
        if not re.search(r":\d+$", self.dashboard):
            raise InputError(f"dashboard: {self.dashboard!r}", advice="give HOST:PORT or :PORT")
        frozen = {str(k): str(v) for k, v in self.environment.items()}
        object.__setattr__(self, "environment", MappingProxyType(frozen))


@dataclass(frozen=True)
class LocalSite(Site):
    """One machine, without a batch system.

    Attributes
    ----------
    gpu : LocalWorkers, optional
        Worker processes with a GPU each, if the machine has any.
    cpu : LocalWorkers, optional
        Worker processes without a GPU.
    """

    kind = "local"

    gpu: LocalWorkers | None = field(default_factory=LocalWorkers)
    cpu: LocalWorkers | None = field(default_factory=LocalWorkers)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gpu is None and self.cpu is None:
            raise InputError("neither gpu nor cpu workers", advice="give at least one of the two")


@dataclass(frozen=True)
class BatchSite(Site):
    """A cluster under a batch system.

    Attributes
    ----------
    gpu : JobWorkers, optional
        Jobs with GPUs; they run the network, and read, sieve and write too.
    cpu : JobWorkers, optional
        Jobs without GPUs; they read, sieve and write.
    account : str, optional
        Project that is charged.
    python : str, optional
        Command that starts Python on the nodes; left out, the Python that you start from.
    prologue : tuple of str
        Shell lines before the worker starts (modules, virtual environment).
    logs : str
        Folder of the jobs' logs, which all nodes see; may hold variables and ``~``.
    death_timeout : int
        Seconds a worker waits for a lost scheduler.
    lifetime_margin : int
        Seconds before the wall time at which a worker begins to hand over its data; its
        successor is asked for as much earlier.
    lifetime_stagger : int
        Seconds, up to which that moment is moved at random, so not all jobs leave at once.
    lost_after : int
        Seconds after which a job whose workers have vanished is replaced.
    idle_after : int
        Seconds without waiting tasks before jobs beyond ``jobs`` go and leave others their results.
    """

    ALSO: ClassVar[Mapping[str, str]] = {
        "project": "account",
        **dict.fromkeys(("interpreter", "image", "container"), "python"),
        **dict.fromkeys(("module", "modules"), "prologue"),
        **dict.fromkeys(("output", "log_directory"), "logs"),
        "local_directory": "scratch",
        "network": "interface",
    }

    job_class: ClassVar[str]
    submit_command: ClassVar[str]
    queue_command: ClassVar[str]

    gpu: JobWorkers | None = None
    cpu: JobWorkers | None = None
    account: str | None = None
    python: str | None = None
    prologue: tuple[str, ...] = ()
    logs: str = "logs"
    death_timeout: Seconds = 120
    lifetime_margin: Seconds = 300
    lifetime_stagger: Seconds = 120
    lost_after: Seconds = 30
    idle_after: Seconds = 120

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.groups:
            raise InputError("neither gpu nor cpu jobs", advice="give at least one of the two")
        for name in ("death_timeout", "lifetime_margin", "lost_after", "idle_after"):
            _at_least(name, getattr(self, name), 1, "seconds")
        _at_least("lifetime_stagger", self.lifetime_stagger, 0, "seconds")
        if self.gpu and not self.gpu.gpus:
            raise InputError("gpu jobs with gpus: 0", advice="set gpus, or call the section cpu")
        if self.cpu and self.cpu.gpus:
            raise InputError(f"cpu jobs with gpus: {self.cpu.gpus}", advice="call the section gpu")
        for name, group in self.groups.items():
            if self.lifetime_of(group) <= 2 * self.lifetime_stagger:
                raise InputError(
                    f"{name}: walltime of {group.walltime} s leaves no time to work after "
                    f"lifetime_margin {self.lifetime_margin} s and lifetime_stagger "
                    f"{self.lifetime_stagger} s",
                    advice="raise the one or lower the others",
                )

    @property
    def groups(self) -> dict[str, JobWorkers]:
        """The kinds of jobs, GPU jobs first."""
        return {k: v for k, v in (("gpu", self.gpu), ("cpu", self.cpu)) if v is not None}

    def lifetime_of(self, group: JobWorkers) -> int:
        """Seconds after which a job's workers retire, before the wall time ends them."""
        return group.walltime - self.lifetime_margin


@dataclass(frozen=True)
class SlurmSite(BatchSite):
    """A cluster under Slurm."""

    kind = "slurm"
    job_class = "dask_jobqueue.SLURMCluster"
    submit_command = "sbatch"
    queue_command = "squeue --noheader --format=%A"

    def __post_init__(self) -> None:
        super().__post_init__()
        own = self.gpu.directives if self.gpu else ()
        gres = [d for d in own if "--gres=" in d or "--gres " in d]
        if self.gpu and gres and not any(map(asks_for_gpus, own)):
            raise InputError(
                f"gpu.directives: {gres[0]!r} asks for no GPU, and sbatch takes one --gres alone",
                advice=f"add gpu:{self.gpu.gpus} to it, behind a comma",
            )


@dataclass(frozen=True)
class PbsSite(BatchSite):
    """A cluster under PBS Professional or OpenPBS."""

    kind = "pbs"
    job_class = "dask_jobqueue.PBSCluster"
    submit_command = "qsub"
    queue_command = "qselect"


@dataclass(frozen=True)
class MoabSite(BatchSite):
    """A cluster under Moab, as the bwHPC clusters once were."""

    kind = "moab"
    job_class = "dask_jobqueue.MoabCluster"
    submit_command = "msub"
    queue_command = "showq"


def _at_least(name: str, value: float | None, least: float, unit: str = "") -> None:
    """Refuse a figure below the least that works."""
    if value is not None and value < least:
        raise InputError(f"{name}: {value}; give at least {least} {unit}".rstrip())
