"""What the sieve accepts: its arguments, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.sieving.borders import Rule
from osm4eo_xr.sieving.chunks import PROTECTED
from osm4eo_xr.sieving.kernels import SATURATION

_MAX_BYTES = 4


def rule_of(
    class_map: xr.DataArray,
    size: int,
    connectivity: int,
    nodata: float | str | None,
    protected: Iterable[int],
) -> Rule:
    """Check the arguments."""
    if not isinstance(class_map, xr.DataArray) or class_map.ndim != 2:  # noqa: PLR2004
        given = getattr(class_map, "dims", type(class_map).__name__)
        raise InputError(f"the class map is {given}", expected="a DataArray with dims (y, x)")
    dtype = class_map.dtype
    if dtype.kind not in "iu" or dtype.itemsize > _MAX_BYTES:
        raise InputError(
            f"the class map is {dtype}",
            expected="integers of at most 32 bits",
            advice='convert the map first, for example with class_map.astype("uint8")',
        )
    if not _is_whole(size) or not 1 <= size <= SATURATION:
        raise InputError(
            f"size is {size!r}", expected=f"a whole number of pixels, 1 to {SATURATION}"
        )
    if connectivity not in (4, 8):
        raise InputError(f"connectivity is {connectivity!r}", expected="4 or 8")
    if nodata is not None and not isinstance(nodata, int | float | np.number):
        raise InputError(
            f"nodata is {nodata!r}", expected="a number, or None if every pixel takes part"
        )
    return Rule(
        size=int(size),
        diagonal=int(connectivity == 8),  # noqa: PLR2004
        width=class_map.shape[1],
        nodata=None if nodata is None else _bits(nodata, dtype),
        protected=_protected_bits(protected, dtype),
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _protected_bits(protected: Iterable[int], dtype: np.dtype) -> tuple[int, ...]:
    """Return the bit patterns of the protected classes."""
    values = list(protected) if isinstance(protected, Iterable) else None
    bits = [_bits(value, dtype) if _is_whole(value) else None for value in values or ()]
    if values is None or None in bits:
        raise InputError(
            f"protected is {protected if values is None else values!r}",
            expected=f"a list of classes that {dtype} can hold, for example (12,)",
        )
    return tuple(cast("list[int]", bits))


def _bits(value: float, dtype: np.dtype) -> int | None:
    """Return the unsigned bit pattern of a value, None where the dtype cannot hold it."""
    info = np.iinfo(dtype)
    if not (info.min <= value <= info.max and value == int(value)):
        return None
    return int(value) % 2 ** (8 * dtype.itemsize)


def codes_of(mask: Any, protected: Any, class_map: xr.DataArray) -> da.Array | None:
    """Return a lazy array that says of each pixel: masked (0), takes part (1), ``PROTECTED``."""
    where = _flags_of(mask, class_map, "the mask", "True where a pixel takes part")
    kept = _flags_of(protected, class_map, "protected_pixels", "True where a pixel is protected")
    if kept is None:
        return where
    codes = kept.astype(np.uint8) * (PROTECTED - 1) + np.uint8(1)
    return codes if where is None else codes * where


def _flags_of(mask: Any, class_map: xr.DataArray, name: str, meaning: str) -> da.Array | None:
    """Return an argument as a lazy boolean array."""
    if mask is None:
        return None
    dims = mask.dims if isinstance(mask, xr.DataArray) else class_map.dims
    data = mask.data if isinstance(mask, xr.DataArray) else mask
    data = data if isinstance(data, da.Array) else np.asarray(data)
    if data.shape != class_map.shape or dims != class_map.dims:
        raise InputError(
            f"{name} has shape {data.shape}, dims {dims}, and the map {class_map.shape}, "
            f"{class_map.dims}",
            expected="an array of the map's shape",
        )
    if data.dtype.kind not in "biu":
        raise InputError(
            f"{name} is {data.dtype}",
            expected=f"booleans, {meaning}",
            advice="give for example mask.notnull()",
        )
    lazy = data if isinstance(data, da.Array) else da.from_array(data, name=False)
    return lazy.astype(bool)
