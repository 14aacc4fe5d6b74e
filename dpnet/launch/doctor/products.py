"""Matrix products: how fast each rank computes them, how exactly, and whether rows depend on their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dpnet.compute.arrays import Matrix
from dpnet.compute.fastest import fastest_s
from dpnet.compute.products.choose import PRODUCTS
from dpnet.compute.products.interface import Products
from dpnet.launch.doctor.facts import Facts
from dpnet.launch.doctor.finding import Finding, fault, ok

ROWS, WIDTH = 256, 512
SECONDS = 0.3
"""How long a rank multiplies."""
MOST_ERROR = 1e-5
"""Relative error of float32 products of this width that is in order: some 1e-7. bfloat16 makes 2e-3 of it."""
SLOW = 0.6
"""A rank that is slower than this share of the fastest one is a fault: all others wait for it."""


class Measured(NamedTuple):
    """Of one rank.

    Attributes:
        gflops: 1e9 operations a second, of one thread.
        error: the largest of products, relative to the largest number in them.
        invariant: whether rows have the same bits within other numbers of rows.
    """

    gflops: float
    error: float
    invariant: bool


def measure(name: str) -> Measured:
    """Measure the library of products `name`, with one thread."""
    products = PRODUCTS[name](1)
    chance = np.random.default_rng(0)
    x = chance.standard_normal((ROWS, WIDTH)).astype(np.float32)
    w = chance.standard_normal((WIDTH, WIDTH)).astype(np.float32)
    out = np.zeros((ROWS, WIDTH), np.float32)
    multiply = products.bind(x, w, out, transpose_b=True)
    gflops = 2e-9 * ROWS * WIDTH * WIDTH / fastest_s(multiply, SECONDS)
    exact = x.astype(np.float64) @ w.astype(np.float64).T
    error = float(np.abs(out - exact).max() / np.abs(exact).max())
    return Measured(gflops, error, _is_invariant(products, x, w, out))


def _is_invariant(products: Products, x: Matrix, w: Matrix, whole: Matrix) -> bool:
    """Whether the first rows have the same bits within fewer rows."""
    for rows in (1, 16, 50, 100, ROWS - 1):
        out = np.zeros((rows, WIDTH), np.float32)
        products.bind(x[:rows], w, out, transpose_b=True)()
        if out.tobytes() != whole[:rows].tobytes():
            return False
    return True


def check_products(seen: Sequence[Facts], measured: Sequence[Measured]) -> list[Finding]:
    """Precision, row invariance, and ranks that are slower than the others."""
    findings = []
    error = max(each.error for each in measured)
    if not error < MOST_ERROR:
        text = f"products of float32 are off by {error:.0e} of their size: they are computed in another precision"
        fix = "unset ONEDNN_DEFAULT_FPMATH_MODE and what else sets a lower precision"
        findings.append(fault("precision", text, fix))
    return [*findings, *_slow(seen, measured)] or [ok("products", _told(seen, measured))]


def _slow(seen: Sequence[Facts], measured: Sequence[Measured]) -> list[Finding]:
    fastest = max(each.gflops for each in measured)
    slowest = min(range(len(measured)), key=lambda rank: measured[rank].gflops)
    if measured[slowest].gflops >= SLOW * fastest:
        return []
    text = (
        f"rank {slowest} on {seen[slowest].host} computes {measured[slowest].gflops:.0f} GFLOP/s, the fastest "
        f"{fastest:.0f}: all others wait for it"
    )
    return [fault("slow host", text, "leave this host out, or find out what slows it (clock, heat, other programs)")]


def _told(seen: Sequence[Facts], measured: Sequence[Measured]) -> str:
    speeds = [each.gflops for each in measured]
    rows = "do not depend" if all(each.invariant for each in measured) else "depend"
    return (
        f"{seen[0].products}, {min(speeds):.0f} to {max(speeds):.0f} GFLOP/s a thread, relative error "
        f"{max(each.error for each in measured):.0e}; bits of a row {rows} on the rows beside it"
    )
