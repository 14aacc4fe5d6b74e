"""Asks for a line of the cache that will be written: an instruction of the processor that numba has no word for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LINE_BYTES = 64
"""Of a line of the cache."""


def _typed(context: Any, array: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """What numba asks an intrinsic for: its types, and how to generate its code."""
    return types.void(array, types.intp), _generate


def _generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Calls `llvm.prefetch`: address, 1 to write, 3 to be kept in all caches, 1 for data."""
    elements = target.make_array(signature.args[0])(target, builder, arguments[0]).data
    address, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [address, number, number, number])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [address], kind)
    place = builder.bitcast(builder.gep(elements, [arguments[1]]), address)
    builder.call(prefetch, [place, number(1), number(3), number(1)])
    return target.get_dummy_value()


prefetch_to_write = cast(Callable[[Any, int], None], intrinsic(_typed))
"""Begins to fetch the line that holds element `index` of a one-dimensional C `array`, to be written soon: (array,
index). Asking is all that takes time; meanwhile the line comes, taken from all other caches."""
