"""Matrix products that read their operands where they lie, in the processor's vectors.

A library of matrix products wants one matrix in one piece. A convolution of several pixels has its
in overlapping windows of an image, and gathering them costs as much as half of the product. So the
innermost part, a few rows of a product by one or two vectors of columns, is written down as
instructions for vectors, which the compiler keeps in registers.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from osm4eo_xr.process.compiled import compiled

ir: Any = vars(cgutils)["ir"]  # llvmlite's, as numba has it
_FLOAT, _LONG = ir.FloatType(), ir.IntType(64)


def _features() -> set[str]:
    """Return what the processor that numba compiles for can do."""
    context: Any = cpu_target.target_context
    _, _, features = context.codegen().magic_tuple()
    return {name.removeprefix("+") for name in features.split(",") if name.startswith("+")}


_ARM = platform.machine() in {"aarch64", "arm64"}
_FEATURES = _features()
_FUSES = _ARM or "fma" in _FEATURES  # multiplies and adds at once

LANES = next((n for name, n in (("avx512f", 16), ("avx", 8)) if name in _FEATURES), 4)
"""Numbers of a vector; columns of products are made up to a multiple of it."""

HEIGHT = 8 if _ARM or LANES == 16 else 4  # noqa: PLR2004 - with 32 registers, or 16
"""Rows of a product that are computed together; it is made up to a multiple of them."""

LINE = 16
"""Numbers of a line of the cache. Vectors that lie across two take twice as long."""

_VECTOR = ir.VectorType(_FLOAT, LANES)


def _tile(vectors: int) -> Any:
    """Return a function that computes a few rows by so many vectors of a product."""

    @intrinsic
    def tile(
        typing: Any, a: Any, offsets: Any, a_step: Any, a_line: Any, lines: Any, depth: Any, b: Any,
        b_step: Any, b_line: Any, c: Any, c_row: Any, add: Any,
    ) -> Any:  # fmt: skip
        """Add up lines * depth products of a column of ``a`` and a row of ``b``, in ``c``.

        Addresses ``a``, ``b`` and ``c`` are of float32, ``offsets`` of int64: where rows of
        ``a`` begin. Steps are in numbers: of ``a`` and ``b`` within a line and from line to
        line, of ``c`` from row to row.
        """
        signature = types.void(*(types.int64,) * 12)
        return signature, lambda context, builder, _, given: _emit(context, builder, given, vectors)

    return tile


def _emit(context: Any, builder: Any, given: Any, vectors: int) -> Any:
    """Write the two loops, whose sums stay in registers."""
    a, offsets, a_step, a_line, lines, depth, b, b_step, b_line, c, c_row, add = given
    a_step, a_line, b_step, b_line, c_row = (
        builder.mul(v, _long(4)) for v in (a_step, a_line, b_step, b_line, c_row)
    )
    starts, goals = _starts(builder, a, offsets), _goals(builder, c, c_row, vectors)
    before = builder.block
    load, outer, inner, after, end = (
        builder.append_basic_block(name) for name in ("load", "outer", "inner", "after", "end")
    )
    builder.cbranch(builder.icmp_signed("!=", add, _long(0)), load, outer)
    builder.position_at_end(load)
    known = [builder.load(goal, align=4) for goal in goals]
    builder.branch(outer)

    builder.position_at_end(outer)
    line, a_at, b_at = (_phi(builder, (v, before), (v, load)) for v in (_long(0), _long(0), b))
    nothing = ir.Constant(_VECTOR, [0.0] * LANES)
    sums = [_phi(builder, (nothing, before), (value, load)) for value in known]
    builder.branch(inner)

    builder.position_at_end(inner)
    k, a_in, b_in = (_phi(builder, (v, outer)) for v in (_long(0), a_at, b_at))
    inside = [_phi(builder, (value, outer)) for value in sums]
    found = _products(builder, [builder.add(start, a_in) for start in starts], b_in, inside)
    following = [builder.add(v, by) for v, by in ((k, _long(1)), (a_in, a_step), (b_in, b_step))]
    for phi, value in zip((k, a_in, b_in, *inside), (*following, *found), strict=True):
        phi.add_incoming(value, inner)
    builder.cbranch(builder.icmp_signed("<", following[0], depth), inner, after)

    builder.position_at_end(after)
    following = [builder.add(v, by) for v, by in ((line, _long(1)), (a_at, a_line), (b_at, b_line))]
    for phi, value in zip((line, a_at, b_at, *sums), (*following, *found), strict=True):
        phi.add_incoming(value, after)
    builder.cbranch(builder.icmp_signed("<", following[0], lines), outer, end)

    builder.position_at_end(end)
    for goal, value in zip(goals, found, strict=True):
        builder.store(value, goal, align=4)
    return context.get_dummy_value()


def _long(value: int) -> Any:
    return ir.Constant(_LONG, value)


def _phi(builder: Any, *incoming: tuple[Any, Any]) -> Any:
    """Write a value that hangs on where the program came from."""
    phi = builder.phi(incoming[0][0].type)
    for value, block in incoming:
        phi.add_incoming(value, block)
    return phi


def _starts(builder: Any, a: Any, offsets: Any) -> list[Any]:
    """Write the addresses at which rows begin."""
    places = [builder.add(offsets, _long(8 * m)) for m in range(HEIGHT)]
    read = [builder.load(builder.inttoptr(place, _LONG.as_pointer())) for place in places]
    return [builder.add(a, builder.mul(offset, _long(4))) for offset in read]


def _goals(builder: Any, c: Any, c_row: Any, vectors: int) -> list[Any]:
    """Write the pointers to the vectors of the product's rows."""
    rows = [builder.add(c, builder.mul(c_row, _long(m))) for m in range(HEIGHT)]
    return [
        builder.inttoptr(builder.add(row, _long(4 * LANES * v)), _VECTOR.as_pointer())
        for row in rows
        for v in range(vectors)
    ]


def _products(builder: Any, rows: list[Any], b: Any, sums: list[Any]) -> list[Any]:
    """Write the products of a number of each row and the vectors at ``b``, added to the sums."""
    vectors = len(sums) // len(rows)
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{LANES}f32"
    )
    places = [builder.add(b, _long(4 * LANES * v)) for v in range(vectors)]
    columns = [
        builder.load(builder.inttoptr(place, _VECTOR.as_pointer()), align=4) for place in places
    ]
    unset, first = ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    found = []
    for m, row in enumerate(rows):
        number = builder.load(builder.inttoptr(row, _FLOAT.as_pointer()))
        wide = builder.insert_element(unset, number, first)
        wide = builder.shuffle_vector(wide, unset, everywhere)
        for v in range(vectors):
            added = sums[m * vectors + v]
            if _FUSES:
                found.append(builder.call(fma, [wide, columns[v], added]))
            else:
                found.append(builder.fadd(builder.fmul(wide, columns[v]), added))
    return found


_narrow, _wide = _tile(1), _tile(2)


@compiled()
def padded(columns: int) -> int:
    """Return the columns that a product of so many is made up to."""
    return -(-columns // LANES) * LANES


@compiled()
def whole(rows: int) -> int:
    """Return the rows that a product of so many is made up to."""
    return -(-rows // HEIGHT) * HEIGHT


@compiled(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def multiply(
    a: np.ndarray, a_at: int, offsets: np.ndarray, count: int, a_step: int, a_line: int, lines: int,
    depth: int, b: np.ndarray, b_at: int, b_step: int, b_line: int, c: np.ndarray, c_at: int,
    columns: int, add: int,
) -> None:  # fmt: skip
    """Multiply: row m of the product is the sum of a[offset m + l, k] * b[l, k] over l and k.

    Parameters
    ----------
    a, b, c : ndarray float32
        Flat; what is read of ``a`` and ``b`` begins at ``a_at`` and ``b_at``. The product is put,
        or added, into ``c`` from ``c_at`` on, ``columns`` per row.
    offsets : ndarray int64
        Where rows begin in ``a``; a multiple of ``HEIGHT`` of them are read.
    count : int
        Rows, made up to a multiple of ``HEIGHT``.
    a_step, a_line, b_step, b_line : int
        Numbers from k to k + 1, and from l to l + 1.
    lines, depth : int
        How many l and k.
    columns : int
        Of ``b`` and of the product, a multiple of ``LANES``.
    add : int
        1 adds to what is there.
    """
    start, table = a.ctypes.data + 4 * a_at, offsets.ctypes.data
    for first in range(0, columns, 2 * LANES):
        here, goal = b.ctypes.data + 4 * (b_at + first), c.ctypes.data + 4 * (c_at + first)
        for m in range(0, count, HEIGHT):
            at, rows = goal + 4 * m * columns, table + 8 * m
            if first + LANES < columns:
                _wide(
                    start, rows, a_step, a_line, lines, depth, here, b_step, b_line, at, columns,
                    add,
                )  # fmt: skip
            else:
                _narrow(
                    start, rows, a_step, a_line, lines, depth, here, b_step, b_line, at, columns,
                    add,
                )  # fmt: skip
