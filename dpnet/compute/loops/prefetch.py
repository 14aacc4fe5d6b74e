"""Asks for lines of the cache that will be needed: an instruction of the processor that numba has no word for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LINE_BYTES = 64
"""Of a line of the cache."""


def _prefetch(to_write: bool) -> Callable[[Any, int], None]:
    """LLVM's `llvm.prefetch`: address, whether to write, 3 to be kept in all caches, 1 for data."""

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
"""Begins to fetch the line that holds element `index` of a one-dimensional C `array`: (array, index). Asking is all
that takes time. An element that does not exist does no harm."""

prefetch_to_write = _prefetch(to_write=True)
"""Likewise, for a line that will be written: it is taken from all other caches."""
