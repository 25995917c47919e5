"""Site files: a cluster's YAML file, found by name and read into its settings type."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import dask.config

from osm4eo_xr.cluster.site import (
    BatchSite,
    JobWorkers,
    LocalSite,
    LocalWorkers,
    MoabSite,
    PbsSite,
    Site,
    SlurmSite,
)
from osm4eo_xr.errors import InputError
from osm4eo_xr.settings_io import build, nearest
from osm4eo_xr.settings_text import field_texts, toml_value

_SHORT_NAMES = {"slurm": "slurm-gpu", "pbs": "pbs-gpu", "moab": "moab-gpu"}
_KINDS: dict[str, type[Site]] = {s.kind: s for s in (LocalSite, SlurmSite, PbsSite, MoabSite)}


def site_folder() -> Path:
    """Return the folder of the site files: the checkout's ``cluster/`` or the wheel's copy."""
    installed = Path(str(files("osm4eo_xr"))) / "cluster_sites"
    return installed if installed.is_dir() else installed.parent.parent / "cluster"


def site_names() -> list[str]:
    """Return the names that ``load_site`` knows."""
    return sorted(path.stem for path in site_folder().glob("*.yaml"))


def site_tables() -> Iterator[tuple[str, type, list[tuple[Field[Any], str]]]]:
    """Yield each table of site files: its title, its settings, its keys with what they mean."""
    for title, settings in (
        ("kind: local", LocalSite),
        ("gpu and cpu of kind: local", LocalWorkers),
        ("kind: slurm, pbs or moab", BatchSite),
        ("gpu and cpu of kind: slurm, pbs or moab", JobWorkers),
    ):
        texts = {k: v for cls in reversed(settings.__mro__) for k, v in field_texts(cls).items()}
        keys = [f for f in fields(settings) if f.name != "name"]  # which the file's own name is
        yield title, settings, [(f, texts[f.name]) for f in sorted(keys, key=_is_table)]


def site_keys() -> str:
    """Return all keys of site files as a list for a terminal, with defaults and meaning."""
    parts = []
    for title, _, keys in site_tables():
        parts += [title, *(f"  {f.name}: {text}{_default(f)}" for f, text in keys), ""]
    return "\n".join(parts[:-1]).replace("``", "")


def _is_table(key: Field[Any]) -> bool:
    return key.name in ("gpu", "cpu")


def _default(key: Field[Any]) -> str:
    """Return a key's default in words, if it has one that says something."""
    said = key.default not in (MISSING, None, "", ()) and not _is_table(key)
    return f" [default: {toml_value(key.default)}]" if said else ""


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

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> site = oxr.load_site("slurm-gpu", account="bw01", gpu={"jobs": 2})
    >>> site.account, site.gpu.jobs, site.gpu.walltime_text
    ('bw01', 2, '04:00:00')
    """
    path = _site_path(name_or_yaml)
    if not path.is_file():
        raise InputError(
            f"no cluster {str(name_or_yaml)!r}",
            advice=f"give one of {', '.join(site_names())} or the path of a YAML file",
        )
    try:
        path.open("rb").close()  # dask passes over a file that it may not read
        # dask's public reader of YAML files. It brings PyYAML for its own configuration; as a
        # declared dependency of ours it would be one more for this single call.
        tree = next(iter(dask.config.collect_yaml([str(path)])), None)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"{path} is not a YAML file of settings: {reason}") from None
    if not isinstance(tree, dict):
        raise InputError(
            f"{path} holds no settings", advice="start it with 'kind: slurm' or another kind"
        )
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
    if str(kind) not in _KINDS:
        near = nearest(kind, _KINDS)
        raise InputError(
            f"{source}: kind is {kind!r}",
            expected=f"one of {', '.join(_KINDS)}",
            advice=near and f"did you mean {near}?",
        )
    return build(_KINDS[kind], {"name": name, **tree}, source)


def with_worker_size(site: Site, threads: int | None, memory: int | None) -> Site:
    """Return a site whose workers, with a GPU or without, all have this size.

    Parameters
    ----------
    site : Site
        Settings of a cluster.
    threads : int, optional
        Task threads of each worker process; None = the site's.
    memory : int, optional
        Bytes of each worker process, of which a job has several; None = the site's.

    Raises
    ------
    InputError
        If jobs of the site ask for resources in words of their own, or the size is too small.
    """
    groups = {k: g for k in ("gpu", "cpu") if (g := getattr(site, k, None)) is not None}
    changed: dict[str, Any] = {} if threads is None else {"threads": threads}
    for name, group in groups.items() if changed or memory is not None else ():
        if getattr(group, "resources", None) is not None:
            raise InputError(
                f"a size of workers for cluster {site.name!r}, whose {name} jobs ask for "
                f"{group.resources!r}",
                advice=f"change threads, memory and resources of {name} in the site file",
            )
        if memory is not None:
            of_job = group.processes if isinstance(group, JobWorkers) else 1
            changed["memory"] = memory * of_job
        groups[name] = replace(group, **changed)
    return replace(site, **groups)


def is_site_path(text: str) -> bool:
    """Whether a cluster is named by the path of its file, not by a name in ``cluster/``."""
    return text.endswith((".yaml", ".yml")) or os.sep in text


def _site_path(name_or_yaml: str | Path) -> Path:
    """Find the file a name or path stands for."""
    text = str(name_or_yaml)
    if is_site_path(text):
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
