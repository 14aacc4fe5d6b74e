"""Rows of results: what was measured, on which machine, at which commit."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dpnet

FOLDER = Path(__file__).parent / "results"
VECTORS = {"AVX-512": "avx512f", "AVX2": "avx2"}
"""Names of vector extensions, widest first, and the kernel's names for them."""


def machine() -> str:
    """The processor, its widest vector extension, and the number of cores of the machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        flags = next((line.split() for line in lines if line.startswith("flags")), [])
        model += next((f" with {name}" for name, flag in VECTORS.items() if flag in flags), "")
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores"


def commit() -> str:
    """The commit that was measured; with a + if files differ from it."""
    git = ["git", "-C", str(FOLDER.parent)]
    name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    others = ["--", ":/", f":(exclude){FOLDER}"]  # Rows of earlier measurements do not count.
    changed = subprocess.run(
        [*git, "status", "--porcelain", "-uno", *others], capture_output=True, text=True, check=False
    )
    return name.stdout.strip() + ("+" if changed.stdout.strip() else "")


def keep(benchmark: str, rows: Sequence[dict[str, Any]]) -> Path:
    """Append rows to the results of a benchmark."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{benchmark}.jsonl"
    origin = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "dpnet": dpnet.__version__,
        "numpy": np.__version__,
    }
    with path.open("a") as file:
        for row in rows:
            file.write(json.dumps({**origin, **row}) + "\n")
    return path


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and spread."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values), "runs": len(values)}
