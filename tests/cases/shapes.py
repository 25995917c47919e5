"""Run-time check of the shapes that a function states, and of nothing else that it states.

Options of a wrong kind are refused by the package itself, which tests show by giving them.
"""

import inspect
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from beartype import beartype
from beartype.door import is_bearable
from jaxtyping import AbstractArray, TypeCheckError, jaxtyped
from numba.core.registry import CPUDispatcher

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


def check_kernels() -> None:
    """Have numba compile what is beneath the checks, and check what Python gives a kernel.

    What one kernel gives another is compiled and not looked at. Call it before the package's
    modules are imported.
    """
    njit, call = numba.njit, CPUDispatcher.__call__

    def unwrapping(*given: Any, **options: Any) -> Any:
        made = njit(*map(_plain, given), **options)
        return made if isinstance(made, CPUDispatcher) else lambda f: made(_plain(f))

    def checked(kernel: Any, *given: Any, **named: Any) -> Any:
        if not _stated(kernel.py_func):
            return call(kernel, *given, **named)
        with jaxtyped("context"):
            arguments = inspect.signature(kernel.py_func).bind(*given, **named).arguments
            for name, value in arguments.items():
                _check(kernel.py_func, name, value)
            result = call(kernel, *given, **named)
            _check(kernel.py_func, "return", result)
        return result

    numba.njit = unwrapping
    CPUDispatcher.__call__ = checked


def _plain(given: Any) -> Any:
    """Return a function without the check around it; anything else as it is."""
    return inspect.unwrap(given) if inspect.isfunction(given) else given


@cache
def _stated(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the hints of a kernel that state shapes; names of its module stand for types."""
    return {
        name: eval(hint, function.__globals__) if isinstance(hint, str) else hint  # noqa: S307 - our own source
        for name, hint in function.__annotations__.items()
        if _states_shape(hint)
    }


def _check(kernel: Callable[..., Any], name: str, value: Any) -> None:
    hints = _stated(kernel)
    if name in hints and not is_bearable(value, hints[name]):
        where = "result" if name == "return" else f"argument {name!r}"
        shape = getattr(value, "shape", ""), getattr(value, "dtype", type(value))
        raise TypeCheckError(f"{where} of kernel {kernel.__name__} is {shape}, not {hints[name]}")
