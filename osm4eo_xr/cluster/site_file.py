"""Site files: a cluster's YAML file, found by name and read into its settings type."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import dask.config
from dask.utils import parse_bytes, parse_timedelta

from osm4eo_xr.cluster.site import (
    JobWorkers,
    LocalSite,
    LocalWorkers,
    MoabSite,
    PbsSite,
    Site,
    SlurmSite,
)
from osm4eo_xr.errors import InputError

T = TypeVar("T")

_SHORT_NAMES = {"slurm": "slurm-gpu", "pbs": "pbs-gpu", "moab": "moab-gpu"}
_KINDS: dict[str, type[Site]] = {s.kind: s for s in (LocalSite, SlurmSite, PbsSite, MoabSite)}
_BYTES = {"memory", "gdal_cache"}
_SECONDS = {
    "walltime",
    "death_timeout",
    "lifetime_margin",
    "lifetime_stagger",
    "lost_after",
    "idle_after",
    "start_timeout",
}


_TYPES: tuple[tuple[str, type, str], ...] = (
    ("int", int, "a whole number"),
    ("str", str, "text (in quotes if YAML reads it otherwise)"),
    ("Mapping", Mapping, "a section NAME: value"),
    ("tuple", list, "a list of texts"),
)


def site_folder() -> Path:
    """Return the folder of the site files: the checkout's ``cluster/`` or the wheel's copy."""
    installed = Path(str(files("osm4eo_xr"))) / "cluster_sites"
    return installed if installed.is_dir() else installed.parent.parent / "cluster"


def site_names() -> list[str]:
    """Return the names that ``load_site`` knows."""
    return sorted(path.stem for path in site_folder().glob("*.yaml"))


def load_site(name_or_yaml: str | Path, **overrides: Any) -> Site:
    """Read the settings of a cluster.

    Parameters
    ----------
    name_or_yaml : str or Path
        Name of a file in ``cluster/`` (``"local"``, ``"slurm-gpu"`` …), ``"slurm"``, ``"pbs"`` or
        ``"moab"`` for that system's GPU cluster, or the path of a YAML file.
    **overrides
        Settings that win over the file's; a dict for ``gpu`` or ``cpu`` is merged into the file's.

    Raises
    ------
    InputError
        If the file is missing or a setting is unknown or wrong; the message names file and key.
    """
    path = _site_path(name_or_yaml)
    if not path.is_file():
        raise InputError(
            f"no cluster {str(name_or_yaml)!r}; give one of {', '.join(site_names())} "
            f"or the path of a YAML file"
        )
    try:
        path.open("rb").close()  # dask passes over a file that it may not read
        tree = next(iter(dask.config.collect_yaml([str(path)])), None)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"{path} is not a YAML file of settings: {reason}") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds no settings; start it with 'kind: slurm' or another kind")
    return site_from_dict(_merged(tree, overrides), name=path.stem, source=str(path))


def site_from_dict(tree: dict[str, Any], *, name: str = "", source: str = "settings") -> Site:
    """Build a site from plain types, as a YAML file gives them.

    Memory may be text such as ``"16 GB"``, times text such as ``"04:00:00"`` or ``"2 min"``.

    Raises
    ------
    InputError
        If ``kind`` or another key is unknown or a value is wrong.
    """
    tree = dict(tree)
    kind = tree.pop("kind", None)
    if kind not in _KINDS:
        raise InputError(f"{source}: kind {kind!r}; give one of {', '.join(_KINDS)}")
    site = _KINDS[kind]
    workers = LocalWorkers if site is LocalSite else JobWorkers
    try:
        for group in ("gpu", "cpu"):
            if tree.get(group) is not None:
                tree[group] = _build(workers, _section(group, tree[group]), prefix=f"{group}.")
        return _build(site, {"name": name, **tree})
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _section(key: str, value: Any) -> Mapping[str, Any]:
    """Return a section, refusing anything else in its place."""
    if not isinstance(value, Mapping):
        raise InputError(f"{key}: {value!r}; give a section of settings or null")
    return value


def _site_path(name_or_yaml: str | Path) -> Path:
    """Find the file a name or path stands for."""
    text = str(name_or_yaml)
    if text.endswith((".yaml", ".yml")) or os.sep in text:
        return Path(text)
    return site_folder() / f"{_SHORT_NAMES.get(text, text)}.yaml"


def _merged(tree: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Lay overrides over a tree; sections are merged key by key."""
    result = dict(tree)
    for key, value in overrides.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = {**below, **value}
        else:
            result[key] = value
    return result


def _build(cls: type[T], tree: Mapping[str, Any], prefix: str = "") -> T:
    """Build a settings object; an unknown key is named with the nearest right one."""
    known = {f.name: f for f in fields(cls)}  # pyright: ignore[reportArgumentType]
    for key in tree:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"it has {', '.join(known)}"
            raise InputError(f"unknown key {prefix}{key}; {hint}")
    return cls(**{k: _read_value(prefix + k, known[k].type, v) for k, v in tree.items()})


def _read_value(key: str, kind: Any, value: Any) -> Any:
    """Turn one value of a YAML file into what its field holds."""
    name = key.rpartition(".")[2]
    wanted = str(kind)
    if value is None:
        if "None" in wanted:
            return None
        raise InputError(f"{key} is empty; leave it out or give a value")
    if name in _BYTES or name in _SECONDS:
        try:
            return parse_bytes(value) if name in _BYTES else _read_seconds(value)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(f"{key}: {value!r}; give text like '16 GB' or '04:00:00'") from None
    if wanted == "bool":
        if isinstance(value, bool):
            return value
        raise InputError(f"{key}: {value!r}; give true or false")
    for start, accepted, advice in _TYPES:
        if wanted.startswith(start) and (not isinstance(value, accepted) or value is True):
            raise InputError(f"{key}: {value!r}; give {advice}")
    return tuple(str(v) for v in value) if wanted.startswith("tuple") else value


def _read_seconds(value: Any) -> int:
    """Read ``HH:MM:SS``, a number of seconds or text with a unit."""
    if isinstance(value, str) and value.count(":") == 2:  # noqa: PLR2004
        hours, minutes, seconds = (int(part) for part in value.split(":"))
        return hours * 3600 + minutes * 60 + seconds
    if isinstance(value, str):
        value = re.sub(r"min$", "minutes", value.strip())
    return int(parse_timedelta(value, default="seconds"))
