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

import functools
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from dpnet.checkpoint.manifest import FORMAT, manifest_sum, read_manifest
from dpnet.checkpoint.pieces import pieces
from dpnet.config.train import MAX_WORKERS
from dpnet.errors import CheckpointError
from dpnet.files import UNFINISHED, read_file, sync, sync_path, unfinished, write_synced, writing

Tensors = dict[str, npt.NDArray[Any]]
FILES = ("model", "optimizer", "scaling")
REPLACED = "replaced-"
STEP_NAME = re.compile(r"step-([0-9]{8,})")
LAYER_DIGITS = 9
"""Most digits of a layer's number. No layer has a longer one, and Python refuses to read thousands of digits."""
PARAMETER_NAME = re.compile(rf"(0|[1-9][0-9]{{0,{LAYER_DIGITS - 1}}})\.(weight|bias)")
MAX_VECTORS = 4
"""Most tensors of an optimizer for each parameter. Adam has 2. With local SGD each worker has an optimizer."""
HEADER_BYTES, ENTRY_BYTES = 1 << 20, 1 << 10
"""Room for the header of a file of tensors: for all of it, and for each tensor."""
SYNC_BYTES = 1 << 28
"""A large file is synced after so many bytes each: the disk starts early, and shows that it is alive."""
Run = Callable[[Callable[[], None], int], None]
"""Runs a piece of work that handles so many bytes: at once, or when and where the processor is to be had."""


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


def at_once(work: Callable[[], None], num_bytes: int) -> None:
    """The plainest Run."""
    work()


def write(folder: Path, checkpoint: Checkpoint, run: Run = at_once) -> Path:
    """Write a checkpoint into a folder of checkpoints, in the place of one that this step has already.

    A step has one already where it was taken again: after a loss of ranks, or after a rollback past a damaged one.

    Args:
        folder: of checkpoints.
        checkpoint: its content.
        run: runs the parts of the work that take time in proportion to the state.

    Returns:
        its directory.

    Raises:
        OutputError: it could not be written. What was there before is untouched.
    """
    final = folder / step_name(checkpoint.step)
    temporary = unfinished(final)
    with writing(f"checkpoint {final}"):
        folder.mkdir(parents=True, exist_ok=True)
        sync_path(folder.parent)  # A checkpoint on the disk is no use while the disk lacks its folder.
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            _write_files(temporary, checkpoint, run)
            _replace(temporary, final)
            sync_path(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return final


def _replace(temporary: Path, final: Path) -> None:
    # No rename replaces a directory that is not empty. Who dies between these two leaves the old one to `restore`.
    old = replaced(final)
    if final.exists():
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
    try:
        temporary.rename(final)
    except OSError:
        restore(old)
        raise
    shutil.rmtree(old, ignore_errors=True)


def replaced(final: Path) -> Path:
    """The name of a checkpoint while another one takes its place."""
    return unfinished(final.with_name(REPLACED + final.name))


def restore(old: Path) -> None:
    """Give a checkpoint its name back, if no other one has taken its place.

    Raises:
        OSError: it cannot be renamed.
    """
    final = old.with_name(old.name.removeprefix(UNFINISHED + REPLACED))
    if old.exists() and not final.exists():
        old.rename(final)


def _write_files(directory: Path, checkpoint: Checkpoint, run: Run) -> None:
    names = {name: f"{name}.safetensors" for name in FILES}
    sums = {file: _write_tensors(directory / file, getattr(checkpoint, name), run) for name, file in names.items()}
    manifest = {"format": FORMAT, **checkpoint.manifest, "sha256": sums}
    manifest["manifest_sha256"] = manifest_sum(manifest)
    write_synced(directory / "manifest.json", json.dumps(manifest, indent=1).encode())
    sync_path(directory)


def _write_tensors(path: Path, tensors: Tensors, run: Run) -> str:
    """Write a file of tensors and wait until the disk has it; returns its sha256, in hex."""
    total, unsynced = hashlib.sha256(), 0
    with path.open("wb", buffering=0) as file:

        def put(piece: npt.NDArray[Any]) -> None:
            data = np.ascontiguousarray(piece).data.cast("B")
            total.update(data)
            while data:
                data = data[file.write(data) :]

        for piece in pieces(tensors):
            run(functools.partial(put, piece), piece.nbytes)
            unsynced += piece.nbytes
            if unsynced >= SYNC_BYTES:
                sync(file.fileno())
                unsynced = 0
        sync(file.fileno())
    return total.hexdigest()


def read(directory: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        CheckpointError: a file is missing, damaged, or not of its format.
    """
    manifest = read_manifest(directory / "manifest.json")
    tensors = {name: _read_tensors(directory / f"{name}.safetensors", manifest) for name in FILES}
    for name in tensors["model"]:
        if not PARAMETER_NAME.fullmatch(name):
            raise CheckpointError(
                f"{directory / 'model.safetensors'} has a tensor {name!r}; expected N.weight or N.bias"
            )
    return Checkpoint(**tensors, manifest=manifest)


def _read_tensors(path: Path, manifest: Mapping[str, Any]) -> Tensors:
    try:
        data = read_file(path, _most_bytes(manifest["sizes"], _count_workers(manifest["config"])))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    except MemoryError as error:
        raise CheckpointError(f"{path} does not fit in memory; read it on a larger machine") from error
    if hashlib.sha256(data).hexdigest() != manifest["sha256"].get(path.name):
        raise CheckpointError(f"{path} is damaged: its content does not match the sha256 in manifest.json")
    try:
        return dict(load(data))
    except Exception as error:
        # SafetensorError; KeyError, TypeError: a type of number that numpy does not have, such as bfloat16;
        # OverflowError, ValueError: a shape that numpy cannot hold; if a side is 0, the file need hold no byte for it.
        raise CheckpointError(f"{path} is no safetensors file that numpy can hold: {error}") from error


def _count_workers(config: Mapping[str, Any]) -> int:
    """The workers of a job of local SGD, of whose configuration nothing was checked yet; 0 of another."""
    train = config.get("train")
    workers = train.get("workers") if isinstance(train, dict) else 0
    return workers if type(workers) is int and 0 < workers <= MAX_WORKERS else 0


def _most_bytes(sizes: Sequence[int], workers: int) -> int:
    """Most bytes that a file of a network of these widths can have, in float64."""
    vectors = MAX_VECTORS * (1 + workers)
    return 8 * vectors * count_params(sizes) + HEADER_BYTES + 2 * vectors * len(sizes) * ENTRY_BYTES


def count_params(sizes: Sequence[int]) -> int:
    """Number of parameters of a network of these widths; takes no memory, as a layout would."""
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
