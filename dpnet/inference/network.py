"""What a trained network is good for: scores and predictions from a checkpoint, spread over all ranks."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import resolve
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.resume import flatten, job_of
from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group
from dpnet.compute.arrays import Matrix
from dpnet.compute.backend import plain_engine
from dpnet.config.job import Job
from dpnet.data.dataset import Dataset, check_labels
from dpnet.data.scaling import Scaling
from dpnet.data.sources import Split, open_split, require_labels
from dpnet.errors import CheckpointError, ConfigError, DataError, OutputError
from dpnet.nn.layout import Layout, Views
from dpnet.nn.losses.softmax_nll import softmax
from dpnet.nn.network import MLP
from dpnet.parallel.evaluate import Evaluator, Scores
from dpnet.parallel.plan import SampleIds
from dpnet.parallel.replica import build_network


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
        job: configuration of its training.
        step: steps it was trained for.
        layout: of its parameters.
        params: its parameters, layer by layer.
        scaling: of its inputs.
    """

    job: Job
    step: int
    layout: Layout
    params: Views
    scaling: Scaling


def load_network(path: str, group: Group) -> Network:
    """Read the network of a checkpoint, or of the newest in a run directory; collective.

    Raises:
        CheckpointError: the checkpoint is missing or damaged.
    """
    found = on_root(group, lambda: checkpoint.read(resolve(Path(path))))
    return everywhere(group, lambda: make_network(found))


def make_network(found: Checkpoint) -> Network:
    """The network of a checkpoint.

    Raises:
        CheckpointError: what is in it does not fit together.
    """
    job, sizes = job_of(found), found.manifest["sizes"]
    scaling = Scaling.from_tensors(found.scaling)
    fits = tuple(sizes[1:-1]) == job.model.hidden_layers and {len(scaling.offset), len(scaling.factor)} <= {1, sizes[0]}
    # The number of parameters as well, before memory is taken for as many as the sizes ask for.
    if not fits or checkpoint.count_params(sizes) != sum(array.size for array in found.model.values()):
        raise CheckpointError(f"the tensors of the checkpoint are not those of a network of sizes {sizes!r:.60}")
    layout = Layout(sizes)
    params = flatten(found.model, layout, "{}", job.model.dtype)
    return Network(job, found.step, layout, layout.views(params), scaling)


def open_samples(network: Network, source: str, split: str, group: Group) -> Split:
    """Open the samples that a network is to look at; collective.

    Raises:
        DataError: they cannot be read, or have another number of features, or labels that the network cannot give.
    """

    def work() -> Split:
        samples = open_split(source, split)
        features = network.layout.sizes[0]
        if samples.features != features:
            raise DataError(
                f"{samples.inputs_file} has {samples.features} features a sample; the network takes {features}"
            )
        check_labels(samples, network.layout.sizes[-1])
        return samples

    return everywhere(group, work)


def evaluate(network: Network, source: str, group: Group, *, split: str = "test", batch_size: int = 512) -> Scores:
    """Exact scores of a network; collective.

    Args:
        network: it is not changed.
        source: of the samples, see `dpnet.data.sources`; with labels.
        group: all ranks share the samples.
        split: "test" or "train".
        batch_size: samples computed at once.

    Raises:
        DataError: the samples cannot be used.
    """
    samples = open_samples(network, source, split, group)
    everywhere(group, lambda: require_labels(samples))
    rows = min(batch_size, len(samples))
    parts = build_network(network.job.model, samples, network.scaling, network.layout, rows, plain_engine())
    return Evaluator(group, *parts, batch_size=rows)(network.params)


def predict(
    network: Network, source: str, out: Path, group: Group, *, split: str = "test", batch_size: int = 512
) -> int:
    """Write label and probabilities of every sample to a file; collective.

    Args:
        network: it is not changed.
        source: of the samples, see `dpnet.data.sources`; labels are not needed.
        out: .npy: one record a sample with `label` (int64) and `probabilities` (classes of the network's dtype);
            .csv: the columns label, p0, p1, ... It appears when it is complete.
        group: all ranks share the samples.
        split: "test" or "train".
        batch_size: samples computed at once.

    Returns:
        number of samples.

    Raises:
        DataError: the samples cannot be used.
        OutputError: the file cannot be written.
    """
    samples = open_samples(network, source, split, group)
    rows, classes = min(batch_size, len(samples)), network.layout.sizes[-1]
    data = Dataset(samples, network.scaling, max_rows=rows, dtype=network.job.model.dtype)
    model = MLP(network.layout, network.job.model.activation, max_rows=rows, dtype=network.job.model.dtype)
    root = group.rank == 0
    whole = np.empty((rows * group.world_size, classes), network.job.model.dtype) if root else None
    table = PredictionFile(out, len(samples), classes, np.dtype(network.job.model.dtype))
    on_root(group, table.open)
    try:
        # Round by round, so that no rank ever holds more than a few blocks: the samples may be larger than memory.
        for first in range(0, len(samples), rows * group.world_size):
            shares = [_ids(first, rank, rows, len(samples)) for rank in range(group.world_size)]
            x, _ = data.gather(shares[group.rank])
            probabilities = model.forward(x, network.params)
            softmax(probabilities)
            counts = [len(share) * classes for share in shares]
            group.gather_into(probabilities.reshape(-1), None if whole is None else whole.reshape(-1), counts)
            received = None if whole is None else whole[: sum(map(len, shares))]
            on_root(group, functools.partial(table.append, received))
        on_root(group, table.close)
    except BaseException:
        table.discard()
        raise
    return len(samples)


def _ids(first: int, rank: int, rows: int, num_samples: int) -> SampleIds:
    start = first + rank * rows
    return np.arange(min(start, num_samples), min(start + rows, num_samples))


class PredictionFile:
    """A file of predictions, .npy or .csv, that appears when it is complete. Only rank 0 opens it.

    Args:
        path: of the file; its ending chooses the format.
        num_samples: that will be appended.
        classes: of the network.
        dtype: of the probabilities.
    """

    def __init__(self, path: Path, num_samples: int, classes: int, dtype: np.dtype[Any]) -> None:
        self._path, self._temporary = path, path.with_name(f".{path.name}.unfinished")
        self._num_samples, self._classes = num_samples, classes
        self._record = np.dtype([("label", np.int64), ("probabilities", dtype, (classes,))])
        self._digits = {4: 9, 8: 17}[dtype.itemsize]  # As many as it takes to read the same number back.
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Make the file under a temporary name and write its header.

        Raises:
            ConfigError: the ending names no format.
            OutputError: the file cannot be written; so do the other methods.
        """
        if self._path.suffix not in (".npy", ".csv"):
            raise ConfigError(f"--out is {self._path}; it must end in .npy or .csv")
        with self._writing():
            self._file = self._temporary.open("wb")
            if self._path.suffix == ".npy":
                header = {
                    "descr": np.lib.format.dtype_to_descr(self._record),
                    "fortran_order": False,
                    "shape": (self._num_samples,),
                }
                np.lib.format.write_array_header_1_0(self._file, header)
            else:
                names = ["label", *(f"p{index}" for index in range(self._classes))]
                self._file.write((",".join(names) + "\n").encode())

    def append(self, probabilities: Matrix | None) -> None:
        """Write the next samples: (rows, classes)."""
        assert self._file is not None
        assert probabilities is not None
        labels = probabilities.argmax(axis=1)
        with self._writing():
            if self._path.suffix == ".npy":
                records = np.empty(len(labels), dtype=self._record)
                records["label"], records["probabilities"] = labels, probabilities
                self._file.write(records.tobytes())
            else:
                for label, row in zip(labels, probabilities.tolist(), strict=True):
                    self._file.write(
                        (f"{label}," + ",".join(f"{value:.{self._digits}g}" for value in row) + "\n").encode()
                    )

    def close(self) -> None:
        """Complete the file and give it its name."""
        assert self._file is not None
        with self._writing():
            self._file.close()
            os.replace(self._temporary, self._path)

    def discard(self) -> None:
        """Leave nothing of a file that is not complete."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from error
