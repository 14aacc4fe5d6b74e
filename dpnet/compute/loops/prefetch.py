"""Prefetching: starts to load cache lines before they are needed. numba itself offers no such instruction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LINE_BYTES = 64
"""Bytes in a cache line."""


def _prefetch(to_write: bool) -> Callable[[Any, int], None]:
    """LLVM's `llvm.prefetch`: address, whether to write, 3 to keep the line in all caches, 1 for data."""

    def typed(context: Any, array: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
        return types.void(array, types.intp), generate

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        elements = target.make_array(signature.args[0])(target, builder, arguments[0]).data
        address, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [address], kind)
        place = builder.bitcast(builder.gep(elements, [arguments[1]]), address)
        builder.call(prefetch, [place, number(int(to_write)), number(3), number(1)])
        return target.get_dummy_value()

    return cast(Callable[[Any, int], None], intrinsic(typed))


prefetch_to_read = _prefetch(to_write=False)
"""Starts to load the line of element `index` of a one-dimensional C `array`: (array, index). Does not wait for the
line. An index outside the array does no harm."""

prefetch_to_write = _prefetch(to_write=True)
"""Starts to load the line for writing, (array, index): the line is invalidated in all other caches."""
