"""Where commands compute: on a cluster, opened when a command really runs, or in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from osm4eo_xr.errors import InputError

if TYPE_CHECKING:
    from osm4eo_xr.cluster.site import Site


@dataclass(frozen=True)
class Place:
    """Where to compute, as the options before a command say.

    Attributes
    ----------
    cluster : str, optional
        Name or YAML file of a cluster; None = in this process.
    threads : int, optional
        Threads of this process, or of each worker of a cluster.
    memory : str, optional
        Memory of each worker of a cluster.
    """

    cluster: str | None = None
    threads: int | None = None
    memory: str | None = None

    def site(self, cluster: str) -> Site:
        """Return the settings of a cluster, with workers of the size that was asked for."""
        from osm4eo_xr.cluster.site_file import load_site, with_worker_size

        return with_worker_size(load_site(cluster), self.threads, self._bytes())

    @contextmanager
    def here(self) -> Iterator[None]:
        """Compute in this process.

        Raises
        ------
        InputError
            If there is memory, which is that of a cluster's workers.
        """
        if self.memory is not None:
            raise InputError(
                f"--memory {self.memory} without --cluster",
                expected="a cluster, whose workers it is the memory of",
                advice="add --cluster local before the command",
            )
        if self.threads is None:
            yield
            return
        from osm4eo_xr.process.threads import at_most_threads

        with at_most_threads(self.threads):
            yield

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Compute on the cluster, which is open within the block, or else in this process."""
        if self.cluster is None:
            with self.here():
                yield
            return
        from osm4eo_xr.cluster.clusters import open_cluster

        with open_cluster(self.site(self.cluster)):
            yield

    def refuse_cluster(self, command: str) -> None:
        """Refuse a cluster before a command, with the reason in the command's words."""
        if self.cluster is not None:
            raise InputError(
                f"--cluster {self.cluster} before {command}", advice="leave --cluster out"
            )

    def _bytes(self) -> int | None:
        if self.memory is None:
            return None
        from dask.utils import parse_bytes

        try:
            return parse_bytes(self.memory)
        except (ValueError, LookupError):
            raise InputError(
                f"--memory {self.memory}", expected="bytes, or text like '16 GB'"
            ) from None


class ComputingCommand(TyperCommand):
    """A command that computes where the options before it say, once it has read its own.

    Help and options that are none come before that, so they open no cluster.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with ctx.obj.opened():
            return super().invoke(ctx)


class LocalCommand(ComputingCommand):
    """A command that computes in this process alone, and refuses a cluster."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        ctx.obj.refuse_cluster(f"{ctx.parent.info_name} {ctx.info_name}, which computes here")
        return super().invoke(ctx)
