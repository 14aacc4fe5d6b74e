"""Checkpoints: one directory per step, written whole or not at all.

    step-00000123/
        model.safetensors       parameters, named as torch.nn.Sequential(Linear, ReLU, Linear, ...) names them
        optimizer.safetensors   the optimizer's vectors, `0.weight.exp_avg` and so on
        scaling.safetensors     offset and factor of the input
        manifest.json           step, position, configuration, sha256 of each file, numerics; written last

Everything is written under a temporary name and synced to the disk before one rename makes it a checkpoint, so a name
`step-*` never stands for half of one. Nothing in it depends on the number of ranks. Nothing in it can execute code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
from safetensors.numpy import load, save

from dpnet.errors import CheckpointError, OutputError

Tensors = dict[str, npt.NDArray[Any]]
FORMAT = "dpnet-checkpoint-1"
FILES = ("model", "optimizer", "scaling")
TEMPORARY = ".unfinished-"
STEP_NAME = re.compile(r"step-([0-9]{8,})")
PARAMETER_NAME = re.compile(r"(0|[1-9][0-9]*)\.(weight|bias)")
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
"""What every manifest has, and its type."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
        model: parameters by name.
        optimizer: `NAME.SLOT` for each parameter and optimizer vector.
        scaling: tensors of the input's scaling.
        manifest: everything else, as JSON has it; `step` is the number of steps taken.
    """

    model: Tensors
    optimizer: Tensors
    scaling: Tensors
    manifest: dict[str, Any]

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return int(self.manifest["step"])


def step_name(step: int) -> str:
    """Name of the directory of a step."""
    return f"step-{step:08d}"


def digest(model: Mapping[str, npt.NDArray[Any]]) -> str:
    """Sha256, in hex, of the bytes of all parameters, little endian, layer by layer: the proof of equal bits."""
    total = hashlib.sha256()
    for name in sorted(model, key=layer_order):
        array = model[name]
        total.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def layer_order(name: str) -> tuple[int, bool]:
    """Sorts names of parameters by layer: "10.weight" comes after "2.weight", and a weight before its bias."""
    layer, _, kind = name.partition(".")
    return int(layer), kind == "bias"


def write(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a folder of checkpoints, unless this step's is there already.

    Returns:
        its directory.

    Raises:
        OutputError: it could not be written. What was there before is untouched.
    """
    final = folder / step_name(checkpoint.step)
    temporary = folder / (TEMPORARY + final.name)
    try:
        if final.exists():
            return final
        folder.mkdir(parents=True, exist_ok=True)
        sync_directory(folder.parent)  # A checkpoint on the disk is no use while the disk lacks its folder.
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        _write_files(temporary, checkpoint)
        temporary.rename(final)
        sync_directory(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise OutputError(f"cannot write checkpoint {final}: {error.strerror or error}") from error
    return final


def _write_files(directory: Path, checkpoint: Checkpoint) -> None:
    sums = {}
    for name in FILES:
        data = save(getattr(checkpoint, name))
        write_synced(directory / f"{name}.safetensors", data)
        sums[f"{name}.safetensors"] = hashlib.sha256(data).hexdigest()
    manifest = {"format": FORMAT, **checkpoint.manifest, "sha256": sums}
    manifest["manifest_sha256"] = _manifest_sum(manifest)
    write_synced(directory / "manifest.json", json.dumps(manifest, indent=1).encode())
    sync_directory(directory)


def read(directory: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        CheckpointError: a file is missing, damaged, or no such file at all.
    """
    manifest = _read_manifest(directory)
    tensors = {name: _read_tensors(directory / f"{name}.safetensors", manifest) for name in FILES}
    for name in tensors["model"]:
        if not PARAMETER_NAME.fullmatch(name):
            raise CheckpointError(
                f"{directory / 'model.safetensors'} has a tensor {name!r}; expected N.weight or N.bias"
            )
    return Checkpoint(**tensors, manifest=manifest)


def _read_manifest(directory: Path) -> dict[str, Any]:
    path = directory / "manifest.json"
    try:
        manifest = json.loads(path.read_bytes())
        content = _manifest_sum(manifest) if isinstance(manifest, dict) else ""
    except OSError as error:
        message = f"{directory} is no checkpoint: cannot read {path.name}: {error.strerror}"
        raise CheckpointError(message) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        seen = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise CheckpointError(f"{path} has format {seen!r}; this dpnet reads {FORMAT!r}")
    if manifest.get("manifest_sha256") != content:
        raise CheckpointError(f"{path} is damaged: its content does not match its own sha256")
    _check_manifest(path, manifest)
    return manifest


def _check_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    # Its sha256 is right: another program wrote it, or another dpnet. A name comes after the one that it lies in.
    for name, kind in MANIFEST.items():
        parent, _, key = name.rpartition(".")
        value: Any = (manifest[parent] if parent else manifest).get(key)
        if type(value) is not kind:
            raise CheckpointError(f"{path}: {name} is {value!r:.60}; expected {kind.__name__}")
        if type(value) is int and not 0 <= value < 2**63:
            raise CheckpointError(f"{path}: {name} is {value!r:.60}; expected 0 or more")
    sizes = manifest["sizes"]
    if len(sizes) < 2 or not all(type(size) is int and size > 0 for size in sizes):
        raise CheckpointError(f"{path}: sizes is {sizes!r:.60}; expected the widths of at least two layers")


def _manifest_sum(manifest: Mapping[str, Any]) -> str:
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_tensors(path: Path, manifest: Mapping[str, Any]) -> Tensors:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != manifest["sha256"].get(path.name):
        raise CheckpointError(f"{path} is damaged: its content does not match the sha256 in manifest.json")
    try:
        return dict(load(data))
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        # KeyError and TypeError: a type of number that numpy does not have, such as bfloat16.
        raise CheckpointError(f"{path} is no safetensors file that numpy can hold: {error}") from error


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
