"""The manifest of a checkpoint: JSON that any program may have written, so nothing in it is trusted.

It is checked here, once: its size before it is read, then its sha256, its depth, its numbers and strings, and the types
of the keys that every manifest has. Whoever uses a value checks that it makes sense there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpnet.errors import CheckpointError
from dpnet.files import read_file

FORMAT = "dpnet-checkpoint-1"
MAX_BYTES = 4 << 20
"""Most bytes of a manifest. Its longest part is the widths of the layers, twice: enough for 100,000 layers."""
MAX_DEPTH = 8
"""Most levels of lists and tables. Python's own limit is met where a value is used, not where the file is read."""
MAX_TEXT = 4096
"""Most characters of a string; no path has more."""
INT64_MAX = 2**63 - 1
MANIFEST: dict[str, type] = {
    "step": int,
    "epoch": int,
    "samples_of_epoch": int,
    "sizes": list,
    "config": dict,
    "data": dict,
    "data.samples": int,
    "progress": dict,
    "world_size": int,
    "numerics": dict,
    "numerics.numpy": str,
    "dpnet": str,
    "sha256": dict,
}
"""The keys that every manifest has, and their types."""


def read_manifest(path: Path) -> dict[str, Any]:
    """Read and verify a manifest.

    Raises:
        CheckpointError: it is missing, damaged, too large, or of a format that this dpnet does not read.
    """
    try:
        manifest: Any = json.loads(read_file(path, MAX_BYTES))
        content = manifest_sum(manifest) if isinstance(manifest, dict) else ""
    except OSError as error:
        message = f"{path.parent} is no checkpoint: cannot read {path.name}: {error.strerror}"
        raise CheckpointError(message) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    seen = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(manifest, dict) or seen != FORMAT:
        shown = f"{seen!r:.60}" if isinstance(seen, str) else type(manifest if seen is None else seen).__name__
        raise CheckpointError(f"{path} has format {shown}; this dpnet reads {FORMAT!r}")
    if manifest.get("manifest_sha256") != content:
        raise CheckpointError(f"{path} is damaged: its content does not match its own sha256")
    # The sha256 is right: whatever else is wrong was written by another program, or by another dpnet.
    _check_values(path, manifest)
    _check_manifest(path, manifest)
    return manifest


def manifest_sum(manifest: Mapping[str, Any]) -> str:
    """Sha256, in hex, of all that a manifest holds except this sum."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_values(path: Path, manifest: Mapping[str, Any]) -> None:
    """Check depth, numbers and strings, level by level: the check itself does not recurse."""
    level: list[Any] = [manifest]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [*value, *value.values()]
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str):
                _check_text(path, value)
            elif isinstance(value, int) and abs(value) > INT64_MAX:
                raise CheckpointError(f"{path} holds an integer of {value.bit_length()} bits; expected at most 63")
        level = inner
    if level:
        raise CheckpointError(f"{path} holds more than {MAX_DEPTH} lists and tables within one another; use another")


def _check_text(path: Path, text: str) -> None:
    if len(text) > MAX_TEXT:
        raise CheckpointError(f"{path} holds a string of {len(text)} characters; expected at most {MAX_TEXT}")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise CheckpointError(f"{path} holds {text!a:.60}, which is no text: half of a pair of surrogates")


def _check_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    # MANIFEST lists a table before the keys in it.
    for name, kind in MANIFEST.items():
        parent, _, key = name.rpartition(".")
        value: Any = (manifest[parent] if parent else manifest).get(key)
        if type(value) is not kind:
            raise CheckpointError(f"{path}: {name} is {value!r:.60}; expected {kind.__name__}")
        if type(value) is int and value < 0:
            raise CheckpointError(f"{path}: {name} is {value}; expected 0 or more")
    sizes = manifest["sizes"]
    if len(sizes) < 2 or not all(type(size) is int and size > 0 for size in sizes):
        raise CheckpointError(f"{path}: sizes is {sizes!r:.60}; expected the widths of at least two layers")
