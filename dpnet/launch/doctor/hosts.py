"""Checks of what may differ between hosts: pure functions of what all ranks see."""

from __future__ import annotations

from collections.abc import Sequence

from dpnet.comm.alike import differences
from dpnet.launch.doctor.facts import Facts
from dpnet.launch.doctor.finding import Finding, fault, ok, warning

REFUSED = ("dpnet", "numpy", "Python", "mpi4py", "numba", "the MPI library")
"""What is to be the same everywhere; other packages make a host slower, and no more."""


def check_versions(seen: Sequence[Facts]) -> list[Finding]:
    """Every host has the same installed."""
    given = [{**each.versions, "the MPI library": each.library or None} for each in seen]
    found = differences(given, [each.host for each in seen], {*given[0]})
    fix = "install the same on every host, or keep one virtual environment where all hosts see it"
    make = {name: fault if name in REFUSED else warning for name in found}
    versions = ", ".join(f"{name} {version}" for name, version in seen[0].versions.items() if version != "missing")
    return [make[name]("versions", text, fix) for name, text in found.items()] or [ok("versions", versions)]


def check_processors(seen: Sequence[Facts]) -> list[Finding]:
    """Every host computes with the same kernels."""
    given = [{"the BLAS": each.blas, "the processor": each.processor, "products": each.products} for each in seen]
    found = differences(given, [each.host for each in seen], {*given[0]})
    fix = "with train.reproducible_shards take hosts of one kind; else the slowest decides, and bits may differ"
    if found:
        return [warning("processors", text, fix) for text in found.values()]
    return [ok("processors", f"{seen[0].blas}; {seen[0].processor}")]
