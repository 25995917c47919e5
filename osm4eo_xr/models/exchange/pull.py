"""A model out of a catalog, from a folder or a web server, checked before it is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replaced
from osm4eo_xr.models.exchange.documents import DO_NOT_USE, beside, bring, is_document
from osm4eo_xr.models.exchange.listing import SHIPPED, find_entry, only_entry
from osm4eo_xr.models.model_folder import is_model_folder, load_model

if TYPE_CHECKING:
    from osm4eo_xr.models.exchange.entries import ModelEntry

_DIGITS = 12  # of a digest, by which no two models are confused
_GIGABYTE = 10**9


def pull_model(
    source: str | Path,
    out: str | Path | None = None,
    *,
    catalog: str | Path | None = None,
    digest: str | None = None,
    max_gigabytes: float = 2.0,
    overwrite: bool = False,
) -> Path:
    """Take a model from a catalog.

    Every file is bounded by the size that its item states and compared with its SHA-256, and the
    whole is loaded as a model, before it takes its place. Nothing is unpacked or unpickled. A
    download that is cut off goes on where it was, a few times.

    Parameters
    ----------
    source : str or Path
        Address or path of a model's item, or of a catalog with one model; or a name in ``catalog``,
        or a country as ``find_country`` takes it: its model is ``country_model``'s.
    out : str or Path, optional
        Folder to make; by default ``models/NAME``.
    catalog : str or Path, optional
        Folder or address of the catalog that has the name; by default the one in the package.
    digest : str, optional
        Beginning, 12 digits or more, of the ``Model.digest`` that it must have. The hashes of a
        catalog come from the server that gives the files; this one is yours.
    max_gigabytes : float
        Most that a model may hold, in 10⁹ bytes.
    overwrite : bool
        Replace a model that is there.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If the catalog has no such model, a name or link leads out of its folder, a file is not the
        one that its item describes, what arrives is no model, or the folder exists.
    RemoteError
        If a server goes on failing or refuses access.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_model
    >>> _ = oxr.push_model(example_model(), "catalog", country="Estonia", license="MIT")
    >>> oxr.load_model(oxr.pull_model("ETO", catalog="catalog")).path.name  # the original's code
    'landuse-EE'
    """
    given = str(source)
    if catalog is None and (is_document(given) or Path(given).exists()):
        entry = only_entry(given)
    else:
        entry = find_entry(given, str(SHIPPED if catalog is None else catalog))
    place = Path("models") / entry.name if out is None else Path(out)
    _check_free(place, overwrite=overwrite)
    if entry.size > max_gigabytes * _GIGABYTE:
        raise InputError(
            f"{entry.name} holds {entry.size / _GIGABYTE:.3g} GB",
            expected=f"at most {max_gigabytes:g}",
            advice="pass {max_gigabytes} if that is right",
        )
    if digest is not None:
        _check_digest(entry, digest.strip().lower())
    place.parent.mkdir(parents=True, exist_ok=True)
    with replaced(place) as part:
        _fill(part, entry)
    return place


def _check_free(place: Path, *, overwrite: bool) -> None:
    """Refuse a place that is taken."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not is_model_folder(place):
        raise InputError(f"{place} exists and is not a model folder", advice="give another path")
    if not overwrite:
        raise InputError(f"{place} exists already", advice="give another name or {overwrite=True}")


def _check_digest(entry: ModelEntry, digest: str) -> None:
    """Refuse a model that is not the one that was asked for."""
    if len(digest) < _DIGITS:
        raise InputError(
            f"digest {digest!r} has {len(digest)} digits",
            expected=f"{_DIGITS} or more",
            advice="give more of it",
        )
    if not entry.digest.startswith(digest):
        found = f"{entry.place} is of digest {entry.digest[: len(digest)]}…"
        raise InputError(found, expected=f"{digest}…")


def _fill(part: Path, entry: ModelEntry) -> None:
    """Bring all files of a model, and load it."""
    part.mkdir()
    for file in entry.files:
        bring(beside(entry.place, file.name), file, part / file.name)
    try:
        model = load_model(part)
    except InputError as error:
        said = error.given.replace(f"{part}/", "").replace(str(part), "the model")
        raise InputError(
            f"{entry.place}: {said}", expected=error.expected, advice=DO_NOT_USE
        ) from None
    if model.digest != entry.digest:
        raise InputError(
            f"{entry.place} states digest {entry.digest[:12]}…, the model has {model.digest[:12]}…",
            advice=DO_NOT_USE,
        )
