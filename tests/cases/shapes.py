"""Run-time check of the shapes that a function states, and of nothing else that it states.

Options of a wrong kind are refused by the package itself, which tests show by giving them.
"""

import re
from collections.abc import Callable
from typing import Any

from beartype import beartype
from jaxtyping import AbstractArray

KINDS = (
    *("Bool", "Float", "Float32", "Float64", "Int", "Int32", "Int64", "Integer", "Num"),
    *("UInt", "UInt8", "UInt32", "UInt64"),
)
"""Types of jaxtyping that the package states shapes with."""

_SHAPE = re.compile(r"""\[[^\[\]]+, ["'][^"']*["']\]""")  # [Array, "y x"]


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check arguments and results that are arrays of a stated shape."""
    hints = {k: v for k, v in function.__annotations__.items() if _states_shape(v)}
    function.__annotations__ = hints
    return beartype(function)


def _states_shape(hint: Any) -> bool:
    if isinstance(hint, str):
        return bool(_SHAPE.search(hint))
    return isinstance(hint, type) and issubclass(hint, AbstractArray)
