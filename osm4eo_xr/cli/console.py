"""What the command line shows: tables, training, and the one line of an error."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
)

from osm4eo_xr._version import __version__
from osm4eo_xr.errors import InputError, InputWarning, Spell, as_argument
from osm4eo_xr.names import counted
from osm4eo_xr.progress import ERR, EVENTS, OUT, draws_bars, live_bars, print_progress
from osm4eo_xr.tables import Table

if TYPE_CHECKING:
    import pandas as pd

    from osm4eo_xr.cluster.checks import Finding
    from osm4eo_xr.country.plan import Plan
    from osm4eo_xr.country.scenes.fetching import TileFetch
    from osm4eo_xr.country.scenes.searches import TileItems
    from osm4eo_xr.inference.throughput import Throughput
    from osm4eo_xr.training.status import Status

_SEARCH = "learning rate"  # what a training looks for before its first epoch


@contextmanager
def training_bar() -> Iterator[Callable[[Status], None]]:
    """Draw one bar for a training run, with loss, accuracy, samples/s and the time left.

    Without a terminal each epoch is a line.
    """
    if not draws_bars():
        yield _epoch_lines()
        return
    columns = (
        TextColumn("{task.fields[epoch]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with live_bars(*columns) as bars:
        task = bars.add_task("", total=None, epoch="")

        def tell(status: Status) -> None:
            bars.update(
                task,
                completed=status.step,
                total=status.steps,
                epoch=_epoch_text(status),
                description=_training_text(status),
            )

        yield tell


def _epoch_lines() -> Callable[[Status], None]:
    """Return a callback that prints a line when an epoch is through."""

    def tell(status: Status) -> None:
        if not status.epoch and status.step == 1:
            print_progress(f"{_SEARCH}: looked for in {status.steps} steps")
        elif status.epoch and status.step * status.epochs == status.epoch * status.steps:
            print_progress(f"{_epoch_text(status)}: {_training_text(status)}")

    return tell


def _epoch_text(status: Status) -> str:
    return f"epoch {status.epoch} of {status.epochs}" if status.epoch else _SEARCH


def _training_text(status: Status) -> str:
    minutes, seconds = divmod(round(status.seconds_left), 60)
    return (
        f"loss {status.loss:.3f}, accuracy {100 * status.accuracy:.1f} %, "
        f"{status.samples_per_second:.0f} samples/s, {minutes}:{seconds:02} left"
    )


def sample_table(counts: pd.DataFrame) -> Table:
    """Return drawn samples per class and split, and how many are short of what was wanted."""
    table = Table(title="samples")
    table.add_column("class")
    splits = counts["split"].unique().tolist()
    for heading in (*splits, "shortfall"):
        table.add_column(heading, justify="right")
    for slug, rows in counts.groupby("class", sort=False):
        if rows["drawn"].sum():
            drawn = [str(rows.loc[rows["split"] == split, "drawn"].sum()) for split in splits]
            table.add_row(str(slug), *drawn, str(rows["shortfall"].sum()))
        else:
            table.add_row(
                str(slug), *["-"] * len(splits), "none drawn: no label with a whole window"
            )
    return table


def print_versions() -> None:
    """Print the versions of the package and of what its numbers hang on, and jax's devices."""
    import platform

    import jax
    import rasterio

    devices = ", ".join(str(d.device_kind) for d in jax.devices())
    facts = {
        "osm4eo_xr": __version__,
        "Python": platform.python_version(),
        "GDAL": rasterio.__gdal_version__,
        "PROJ": rasterio.__proj_version__,
        "jax": f"{jax.__version__} on {devices}",
    }
    for name, value in facts.items():
        OUT.print(f"{name} {value}", soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """Print dataclasses, or lists and mappings of them, as JSON."""
    text = json.dumps(value, default=_plain, ensure_ascii=False, indent=2)
    OUT.out(text, highlight=False)


def _plain(value: Any) -> Any:
    """Return what stands for a value that JSON lacks."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def print_plan(plan: Plan) -> None:
    """Print what a country run would do."""
    table = Table(title=f"{counted(len(plan.tiles), 'tile')}: {' '.join(plan.tiles)}")
    table.add_column("piece")
    table.add_column("state")
    for heading in ("chunks", "tasks", "read / MB", "write / MB"):
        table.add_column(heading, justify="right")
    for piece in plan.pieces:
        state = "done" if piece.done else "to do"
        sizes = (f"{n / 1e6:.1f}" for n in (piece.read, piece.written))
        table.add_row(piece.name, state, f"{piece.chunks:,}", f"{piece.tasks:,}", *sizes)
    OUT.print(table)
    left = plan.todo
    chunks, tasks = sum(p.chunks for p in left), sum(p.tasks for p in left)
    OUT.print(
        f"{len(left)} of {len(plan.pieces)} pieces to do, {chunks:,} chunks, {tasks:,} tasks, "
        f"{plan.device_time} of inference"
    )
    if plan.training_time:
        OUT.print(f"training: {plan.training_time}")
        OUT.print(plan.preset_times, soft_wrap=True, highlight=False)
    if plan.features:
        OUT.print(f"model's input: {plan.features}", soft_wrap=True, highlight=False)
    if plan.leftovers:
        OUT.print(plan.leftovers, soft_wrap=True, highlight=False)


def print_throughput(seen: Throughput) -> None:
    """Print what inference took: pixels, bytes, compilations, the device's share of the time."""
    OUT.print(
        f"{seen.pixels:,} pixels in {seen.wall_s:.1f} s, {seen.pixels_per_s:,.0f} px/s, "
        f"{seen.bytes_read / 1e6:,.0f} MB of scene read, {seen.compilations} compilations in "
        f"{seen.compile_s:.1f} s, device computing {seen.device_share:.0%} of the time",
        soft_wrap=True,
        highlight=False,
    )


def print_found(found: Sequence[TileItems], looks: int) -> None:
    """Print what a search found for each tile, and pixels with fewer clear looks than ``looks``."""
    items = counted(sum(len(f.days) for f in found), "item")
    table = Table(title=f"{items} for {counted(len(found), 'tile')}")
    table.add_column("tile", no_wrap=True)
    headings = ("items", "first and\nlast day", "least\ncloud / %", "to read\n/ GB")
    for heading in (*headings, f"pixels with < {looks}\nclear looks"):
        table.add_column(heading, justify="right", no_wrap=True)
    for tile in found:
        covers = [c for c in tile.clouds if c is not None]
        days = f"{min(tile.days)}\n{max(tile.days)}" if tile.days else "-"
        clearest = f"{min(covers):.1f}" if covers else "-"
        seen = (str(len(tile.days)), days, clearest, f"{tile.gigabytes:.2f}", _few(tile))
        table.add_row(tile.tile, *seen)
    OUT.print(table)
    without = [tile.tile for tile in found if not tile.days]
    if without:
        print_note(
            f"no item for {' '.join(without)}; the map has no data there: widen period or "
            f"max_cloud in the country file"
        )


def _few(tile: TileItems) -> str:
    """Write how many pixels of a tile have few clear looks."""
    if tile.few_looks is None:
        return "once fetched"
    return f"{tile.few_looks:,} ({tile.few_looks / sum(tile.clear_looks):.1%})"


def print_fetch(plan: Sequence[TileFetch]) -> None:
    """Print what is to be fetched for each tile."""
    left = sum(tile.gigabytes for tile in plan)
    table = Table(title=f"{left:.2f} GB to fetch, uncompressed, for {counted(len(plan), 'tile')}")
    for heading in ("tile", "items", "there", "to fetch / GB"):
        table.add_column(heading, justify="left" if heading == "tile" else "right")
    for tile in plan:
        table.add_row(tile.tile, str(tile.items), str(tile.done), f"{tile.gigabytes:.2f}")
    OUT.print(table)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print what the doctor found; below it, what to do about each thing that is not well."""
    table = Table()
    table.add_column("where", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found")
    colors = {"ok": "green", "note": "yellow", "wrong": "bold red"}
    for f in findings:
        table.add_row(f.place, f.check, f"[{colors[f.state]}]{f.state}[/]", escape(f.found))
    OUT.print(table)
    for f in findings:
        if f.advice:
            text = f"{f.state}: {f.place}, {f.check}: {f.found}. To mend it: {f.advice}"
            OUT.print(f"[{colors[f.state]}]{escape(text)}[/]", soft_wrap=True, highlight=False)
    wrong = sum(f.state == "wrong" for f in findings)
    OUT.print(f"a run would fail: {wrong} wrong" if wrong else "a run would work")


def print_note(text: str) -> None:
    """Print a remark on standard error."""
    EVENTS.warning(text)
    ERR.print(f"[yellow]note:[/] {escape(text)}", soft_wrap=True, highlight=False)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    *where: Any,
    spell: Spell = as_argument,
    seen: set[type[Warning]] | None = None,
) -> None:
    """Print a warning as one note; of those that are not ours, say the kind.

    A library may warn of each of a thousand objects: the first of a kind that is not in ``seen`` is
    printed, all go to the log.
    """
    del where  # a line of a library's code tells users nothing
    inner = message.args[0] if isinstance(message, InputWarning) else message
    said = inner.line(spell) if isinstance(inner, InputError) else str(message)
    text = " ".join(said.split())
    if issubclass(category, InputWarning):
        print_note(text)
        return
    show = EVENTS.warning if seen is not None and category in seen else print_note
    show(f"{text} ({category.__name__})")
    if seen is not None:
        seen.add(category)


def print_error(message: object) -> None:
    """Print ``message`` as the one line of an error, whatever line breaks it holds."""
    text = " ".join(str(message).split())
    EVENTS.error(text)
    ERR.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True, highlight=False)
