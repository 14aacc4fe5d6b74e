"""Parameters from elsewhere: a safetensors file of a network of linear layers, as PyTorch's `state_dict` has them.

A layer is a `weight` (outputs, inputs) with a `bias` (outputs,). What stands before these words differs from program to
program: `0.weight`, `fc1.weight`, `layers.0.weight`, `module.0.weight`. So the shapes tell which layer follows which;
where they leave a choice, the numbers in names that are the same but for these; and else the file is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import deserialize, safe_open

from dpnet.checkpoint.format import Tensors
from dpnet.errors import CheckpointError
from dpnet.files import read_file
from dpnet.text import shorten

DTYPES = {"F16": ("float16", "<f2"), "BF16": ("bfloat16", "<u2"), "F32": ("float32", "<f4"), "F64": ("float64", "<f8")}
"""The types of numbers that are read, by their names in the file: in words, and as numpy reads them."""
SHOWN = 12
"""Tensors that a message lists at most."""
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
MAGIC = (b"PK", b"\x80")
"""How zip archives and pickles begin: what torch.save writes, now and earlier."""
_SAVE = """\
Save them as safetensors, where they were trained:

    from safetensors.torch import save_file
    save_file(model.state_dict(), "model.safetensors")"""


class Linear(NamedTuple):
    """A layer: what its names begin with, and its shape."""

    name: str
    outputs: int
    inputs: int

    def key(self, kind: str) -> str:
        """The name of its "weight" or "bias" in the file."""
        return f"{self.name}.{kind}" if self.name else kind


@dataclass(frozen=True)
class StateDict:
    """The parameters of a file.

    Attributes:
        layers: sorted by name, numbers in names as numbers.
        tensors: by their names in the file; bfloat16 as float32, which holds the same numbers.
        dtypes: of the tensors in the file, in words.
        digest: sha256 of their bytes, layer by layer; that of `dpnet digest` for a file that dpnet wrote.
    """

    layers: tuple[Linear, ...]
    tensors: Tensors
    dtypes: str
    digest: str


def read_state_dict(path: Path) -> StateDict:
    """Read a file of parameters.

    Raises:
        CheckpointError: it is no safetensors file, or holds something else than linear layers.
    """
    _refuse_pickle(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError(f"{path} is no regular file; give a file of safetensors")
        # Its names and shapes first: a file of something else may be larger than the memory.
        with safe_open(path, framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        layers = _layers(path, shapes)
        found = dict(deserialize(read_file(path, os.stat(path).st_size)))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise CheckpointError(f"{path} does not fit in memory; read it on a larger machine") from error
    except CheckpointError:
        raise
    except Exception as error:  # SafetensorError, which is an Exception; and what Python makes of a wild header.
        raise CheckpointError(f"{path} is no safetensors file: {error}. {_SAVE}") from error
    keys = [layer.key(kind) for layer in layers for kind in ("weight", "bias")]
    if found.keys() != set(keys):
        raise CheckpointError(f"{path} was changed while it was read; try again")
    total = hashlib.sha256()
    for key in keys:
        total.update(found[key]["data"])
    dtypes = sorted({found[key]["dtype"] for key in keys})
    if unknown := [dtype for dtype in dtypes if dtype not in DTYPES]:
        raise CheckpointError(f"{path} holds numbers of type {unknown[0]:.20}; expected {_words(DTYPES)}")
    tensors = {key: _array(found[key], shapes[key]) for key in keys}
    return StateDict(layers, tensors, _words(dtypes), total.hexdigest())


def _words(dtypes: Iterable[str]) -> str:
    return ", ".join(DTYPES[dtype][0] for dtype in dtypes)


def _refuse_pickle(path: Path) -> None:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            begins = file.read(9)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"cannot read {str(path)!r:.80}: {error}") from error
    # Safetensors begin with the length of their header, which may look like anything, and the header with a brace.
    if begins[8:] != b"{" and (path.suffix.lower() in PICKLES or begins.startswith(MAGIC)):
        raise CheckpointError(
            f"{path} is a pickle or an archive, as torch.save writes them: whoever reads one may execute what it says, "
            f"so dpnet does not. {_SAVE}"
        )


def _layers(path: Path, shapes: dict[str, tuple[int, ...]]) -> tuple[Linear, ...]:
    """The layers of a file, sorted by name."""
    groups: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for key, shape in shapes.items():
        name, _, kind = key.rpartition(".")
        groups[name][kind] = shape
    layers = []
    for name, group in groups.items():
        weight, bias = group.get("weight", ()), group.get("bias", ())
        is_linear = group.keys() == {"weight", "bias"} and len(weight) == 2 and bias == weight[:1] and all(weight)
        if not (is_linear and name.isprintable()):
            raise CheckpointError(
                f"{path} is not of a network of linear layers, each a weight (outputs, inputs) with a bias (outputs,): "
                f"it holds {shapes_text(shapes)}"
            )
        layers.append(Linear(name, *weight))
    if not layers:
        raise CheckpointError(f"{path} holds no tensor; expected those of a network of linear layers")
    layers.sort(key=lambda layer: _numbered(layer.name))
    for one, other in pairwise(layers):
        if _numbered(one.name) == _numbered(other.name):  # 1 and 01
            raise CheckpointError(f"{path}: {one.name} and {other.name} are layers of the same number; rename one")
    return tuple(layers)


def shapes_text(shapes: dict[str, tuple[int, ...]]) -> str:
    """Names and shapes for a message: `0.weight [5, 4], 0.bias [5]`."""
    some = sorted(shapes.items())[:SHOWN]
    shown = [f"{shorten(key if key.isprintable() else ascii(key))} {list(shape)}" for key, shape in some]
    more = f" and {len(shapes) - SHOWN} more" if len(shapes) > SHOWN else ""
    return ", ".join(shown) + more


def _numbered(name: str) -> tuple[str, list[int]]:
    """A name without its numbers, and these."""
    return re.sub(r"[0-9]{1,9}", "#", name), [int(number) for number in re.findall(r"[0-9]{1,9}", name)]


def _array(entry: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    array = np.frombuffer(entry["data"], DTYPES[entry["dtype"]][1]).reshape(shape)
    if entry["dtype"] == "BF16":  # The upper half of a float32.
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array


def chain(layers: Sequence[Linear], inputs: int, hidden: Sequence[int] | None = None) -> list[Linear]:
    """The layers from the input to the output.

    Args:
        layers: in any order.
        inputs: of the first.
        hidden: outputs of all but the last; None: whatever they are.

    Raises:
        ValueError: there is no such order, or more than one; the message is for a user.
    """
    queues: dict[str, deque[Linear]] = defaultdict(deque)
    for layer in sorted(layers, key=lambda layer: _numbered(layer.name)):
        queues[_numbered(layer.name)[0]].append(layer)
    ordered: list[Linear] = []
    for place in range(len(layers)):
        outputs = hidden[place] if hidden is not None and place < len(hidden) else None
        heads = [queue for queue in queues.values() if queue and queue[0].inputs == inputs]
        fits = [queue for queue in heads if outputs in (None, queue[0].outputs)]
        if not fits:
            wanted = f"{inputs} inputs" + ("" if outputs is None else f" and {outputs} outputs")
            raise ValueError(f"no layer of it has the {wanted} of layer {place} (from 0)")
        if len(fits) > 1:
            both = " and ".join(shorten(queue[0].name) for queue in fits[:2])
            raise ValueError(f"{both} could both be layer {place} (from 0), and their names do not tell which is")
        ordered.append(fits[0].popleft())
        inputs = ordered[-1].outputs
    return ordered
