"""The section [train]: how long to train, and how the ranks share the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from dpnet.config.section import INT64_MAX, Governs, OnlyFor, Range, Section

MAX_WORKERS = 1024
"""Most workers: each has vectors of its own in every checkpoint."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Section, governs=Governs.RESULT):
    """How long to train, and how."""

    one_of: ClassVar[dict[str, float]] = {"epochs": 12, "steps": 1000}

    epochs: Annotated[
        int | None, Governs.LENGTH, Range(1), "Length of the training, in passes over the training data."
    ] = None
    steps: Annotated[int | None, Governs.LENGTH, Range(1), "Length of the training, in updates of the parameters."] = (
        None
    )
    global_batch_size: Annotated[int, Range(1), "Samples in a step, summed over all ranks."] = 64
    seed: Annotated[
        int,
        Range(0, INT64_MAX),
        "Decides the initial parameters, the order of the samples, and which of them data.validation holds out.",
    ] = 0
    label_smoothing: Annotated[
        float,
        Range(0, 1, below=True),
        OnlyFor(("classification",), "model.task"),
        "Share of every label that is spread over all classes in the loss of the training. Scores of test data are "
        "without it.",
    ] = 0.0
    reproducible_shards: Annotated[
        int, Range(0, 65536), "V: the same bits on any number of ranks up to V; more are refused. 0: off."
    ] = 0
    workers: Annotated[
        int,
        Range(0, MAX_WORKERS),
        "K: local SGD (DiLoCo), for slow links between nodes. Each of K workers has its own parameters and optimizer "
        "vectors, and its share of every batch; they meet every sync_every steps. The same bits on any number of ranks "
        "up to K; more are refused. 0: off, all ranks meet in every step.",
    ] = 0
    sync_every: Annotated[
        int,
        Range(1),
        "H: steps from one synchronisation of the workers to the next. What is due in between, such as evaluations, "
        "checkpoints and the answer to a signal, is done at the next one. Only with workers.",
    ] = 16
    threads: Annotated[
        int,
        Governs.OPERATION,
        Range(0),
        "Threads of each rank. 0: the cores of a node are shared out among its ranks, fewer where numpy multiplies and "
        "the network is too small for them; 1 with reproducible_shards or workers.",
    ] = 0
    kernels: Annotated[
        Literal["auto", "numpy", "numba"],
        Governs.OPERATION,
        "Loops over single elements. auto: compiled by numba where it is installed (.[fast]), else numpy's; changes "
        "no result.",
    ] = "auto"
    blas: Annotated[
        Literal["auto", "numpy", "onednn", "mkl"],
        Governs.OPERATION,
        "Library for matrix products. auto: MKL on Intel processors where it is installed (.[mkl]); else oneDNN on "
        "processors with AVX-512 where it is installed (.[fast]); else numpy's own.",
    ] = "auto"
    shared_memory: Annotated[
        bool,
        Governs.OPERATION,
        "Ranks on one node share one copy of parameters and optimizer vectors, and sum gradients in that memory. This "
        "changes the rounding; with reproducible_shards it changes no bit.",
    ] = True
    reducer: Annotated[
        Literal["auto", "allreduce", "joint", "shards"],
        Governs.OPERATION,
        "How the gradients of all ranks become one. allreduce: each rank has its own, and MPI sums them. joint: the "
        "ranks of a node compute that of all their samples together. shards: each shard has its own, and they are "
        "summed in a fixed order, as reproducible_shards needs it. auto: shards with reproducible_shards, else joint "
        "or shards, whichever should be faster for the network. Changes rounding.",
    ] = "auto"
    exchange: Annotated[
        Literal["auto", "gradients", "factors", "recompute"],
        Governs.OPERATION,
        "What travels between nodes. gradients: sums of nodes. factors: inputs and errors of the layers for every "
        "sample, from which each node computes the gradient of all. recompute: errors of the outputs alone; each node "
        "computes the rest. auto: for every array whatever takes less time on the network that was measured. Changes "
        "no bit. Gradients with reproducible_shards, with another reducer than joint, and on nodes that are not alike; "
        "with workers, what they have learnt.",
    ] = "auto"
    wire: Annotated[
        Literal["float32", "bfloat16"],
        "How gradients travel between nodes. float32: as model.dtype computes them. bfloat16: rounded to 8 significant "
        "bits, in half the bytes, and summed in float32; gradients then travel whatever train.exchange would choose. "
        "Not with reproducible_shards or workers.",
    ] = "float32"

    @property
    def fixed_shards(self) -> int:
        """Parts into which each batch is cut, whatever the number of ranks is; 0: a part for each rank.

        With these the bits do not depend on the number of ranks.
        """
        return self.workers or self.reproducible_shards


FIT_FOR_BFLOAT16: dict[str, tuple[Any, ...]] = {
    "train.reproducible_shards": (0,),
    "train.workers": (0,),
    "train.reducer": ("auto", "joint", "shards"),
    "train.exchange": ("auto", "gradients"),
    "model.dtype": ("float32",),
}
"""With what gradients may be rounded to bfloat16 on their way between nodes."""
