"""A slice of the gradient, x^T dz and the sums of dbias, computed tile by tile in one small buffer.

The optimizer takes a tile while it lies in the cache, then the next one is computed in its place. Where the rows are
those of several nodes, a tile has a term for each node, and these are summed in the order of the tree over nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from dpnet.compute.arrays import Matrix, Vector, aligned_zeros
from dpnet.compute.loops.interface import Loops
from dpnet.compute.loops.pending_sums import Tile, pending_sum
from dpnet.compute.products.interface import Products
from dpnet.compute.shares import ceil_div, overlap, round_up, share
from dpnet.nn.layout import ALIGNMENT, Layout
from dpnet.parallel import tree

TILE = 1 << 20
"""Most elements of a tile, unless a single row is longer: 4 MiB of float32. Smaller products are slower, and larger
tiles do not stay in the cache."""

Factors = Sequence[tuple[Matrix, Matrix]]
"""x (rows, inputs) and dz (rows, outputs) of every layer."""
Rows = tuple[int, int]
"""The first of some adjacent rows, and one past the last."""


@dataclass(frozen=True)
class Part:
    """Some rows of the gradient of a weight, or some elements of that of a bias.

    Attributes:
        layer: from the input on.
        is_bias: False for a weight.
        rows: of the weight, as (inputs, outputs); or elements of the bias.
        start: first element in the flat vector.
        stop: one past the last.
    """

    layer: int
    is_bias: bool
    rows: slice
    start: int
    stop: int


class SliceGradient:
    """The owned slice of the gradient.

    Args:
        layout: of the flat vector.
        owned: the slice.
        factors: of the weights' gradients.
        dbiases: (ranks, outputs) for every layer, to be summed over the ranks.
        products: matrix products.
        loops: element-wise work.
        dtype: of the gradient.
        terms: the rows of `dbiases` that are those of one node, for each node.

    Attributes:
        rows: of the factors, (first, one past the last) for each term. Set them before a tile is prepared.
        tiles: of the slice, all in the same memory.
    """

    def __init__(
        self,
        layout: Layout,
        owned: slice,
        factors: Factors,
        dbiases: Sequence[Matrix],
        products: Products,
        loops: Loops,
        dtype: npt.DTypeLike,
        terms: Sequence[slice],
    ) -> None:
        self.rows: Sequence[Rows] = []
        groups = list(grouped(parts(layout, owned)))
        longest = round_up(max((_extent(group) for group in groups), default=0), ALIGNMENT)
        room = aligned_zeros((len(terms), longest), dtype)
        joins, _ = tree.joins(tree.leaves(len(terms)), tree.spans(len(terms)))

        def work_on(part: Part, ranks: slice, out: Vector) -> Callable[[Rows], None]:
            if part.is_bias:
                return _bias_work(loops, dbiases[part.layer][ranks, part.rows], out)
            return _weight_work(products, *factors[part.layer], part.rows, out)

        self.tiles: list[Tile] = []
        for group in groups:
            base = _base(group)
            start, stop = max(group[0].start, owned.start), min(group[-1].stop, owned.stop)
            work = [
                (term, work_on(part, ranks, held[part.start - base : part.stop - base]))
                for term, (ranks, held) in enumerate(zip(terms, room, strict=True))
                for part in group
            ]
            # Between two tensors there is padding, or a frozen one, and what an earlier tile has left in it.
            between = [room[:, before.stop - base : after.start - base] for before, after in itertools.pairwise(group)]
            work += [(0, _padding_work(padding)) for padding in between if padding.size]
            held_sum = pending_sum(room, joins, owned.start - base)
            self.tiles.append(Tile(start - owned.start, stop - owned.start, held_sum, self._preparation(work)))

    def _preparation(self, work: Sequence[tuple[int, Callable[[Rows], None]]]) -> Callable[[], None]:
        def prepare() -> None:
            for term, compute in work:
                compute(self.rows[term])

        return prepare


def tiles_of_sum(layout: Layout, owned: slice, vectors: Matrix, joins: Sequence[int]) -> list[Tile]:
    """The owned slice of a sum of gradient vectors, as far as it is trained: one tile, or none.

    Args:
        layout: of the flat vector.
        owned: the slice.
        vectors: (rows, size) the gradients.
        joins: the order of their sum, see `reference.sum_tile`.
    """
    mine = overlap(owned, layout.trained)
    start, stop = mine.start - owned.start, mine.stop - owned.start
    return [Tile(start, stop, pending_sum(vectors, joins, owned.start))] if mine else []


def parts(layout: Layout, owned: slice) -> Iterator[Part]:
    """The parts of a slice of the flat vector that are trained, in order.

    A product computes whole rows. So the first part may begin before the slice, and the last one end behind it.
    """
    for index, tensor in enumerate(layout.tensors):
        mine = overlap(tensor, owned)
        if tensor.is_frozen or not mine:
            continue
        width = 1 if tensor.is_bias else tensor.shape[0]
        first, last = (mine.start - tensor.start) // width, ceil_div(mine.stop - tensor.start, width)
        number = ceil_div(last - first, max(1, TILE // width))
        for part in range(number):
            begin, end = (first + row for row in share(last - first, part, number))
            yield Part(
                index // 2, tensor.is_bias, slice(begin, end), tensor.start + begin * width, tensor.start + end * width
            )


def grouped(all_parts: Iterator[Part]) -> Iterator[list[Part]]:
    """The parts of every tile: as many as fit."""
    group: list[Part] = []
    for part in all_parts:
        if group and part.stop - group[0].start > TILE:
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _base(group: Sequence[Part]) -> int:
    """The element of the flat vector at which the buffer begins, so that both are aligned alike to cache lines."""
    return group[0].start // ALIGNMENT * ALIGNMENT


def _extent(group: Sequence[Part]) -> int:
    return group[-1].stop - _base(group)


def _weight_work(products: Products, x: Matrix, dz: Matrix, columns: slice, out: Vector) -> Callable[[Rows], None]:
    dweight = out.reshape(-1, dz.shape[1])
    bound: dict[Rows, Callable[[], object]] = {}  # Batches have two sizes: the last one of an epoch may be short.

    def compute(rows: Rows) -> None:
        if rows not in bound:
            chosen = slice(*rows)
            bound[rows] = products.bind(x[chosen, columns], dz[chosen], dweight, transpose_a=True)
        bound[rows]()

    return compute


def _padding_work(out: Matrix) -> Callable[[Rows], None]:
    def compute(rows: Rows) -> None:
        out[:] = 0

    return compute


def _bias_work(loops: Loops, dbiases: Matrix, out: Vector) -> Callable[[Rows], None]:
    def compute(rows: Rows) -> None:
        loops.column_sums(dbiases, out)

    return compute
