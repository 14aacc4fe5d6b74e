"""The section [model] of a job file; see `dpnet.config.job`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from dpnet.config.section import Governs, OnlyFor, Range, Section, Text, fill, follows

Task = Literal["classification", "regression", "multilabel"]
METRICS: dict[str, tuple[str, ...]] = {
    "classification": ("accuracy", "loss"),
    "regression": ("r2", "rmse", "mae", "loss"),
    "multilabel": ("loss", "micro_f1", "macro_f1", "subset_accuracy"),
}
"""The scores of each task that can choose the best evaluation; the first is the default."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section, governs=Governs.RESULT):
    """The network. Its numbers of inputs and of outputs follow from the data."""

    task: Annotated[
        Task,
        "classification: labels of classes. regression: numbers. Their scores (R2, RMSE, MAE) are in the units of the "
        "data; the loss is that of standardized numbers, each target with mean 0 and standard deviation 1 in the "
        "training data. multilabel: several labels, each of which a sample has or not.",
    ] = "classification"
    loss: Annotated[
        Literal["squared_error", "absolute_error", "huber"],
        OnlyFor(("regression",), "model.task"),
        "What is minimized. huber: squared up to huber_delta, and a straight line beyond it.",
    ] = "squared_error"
    huber_delta: Annotated[
        float,
        Range(0, above=True),
        OnlyFor(("huber",), "model.loss"),
        "Largest error that huber squares, in standard deviations of the target.",
    ] = 1.0
    hidden_layers: Annotated[
        tuple[int, ...], Range(1), "Neurons of each hidden layer; an empty list is a linear model."
    ] = (256, 128)
    activation: Annotated[
        Literal["relu", "tanh", "sigmoid", "leaky_relu", "identity"], "Function after each hidden layer."
    ] = "relu"
    dtype: Annotated[Literal["float32", "float64"], "Precision of parameters and of everything computed."] = "float32"
    pretrained: Annotated[
        str | None,
        Governs.OPERATION,  # Where the parameters lie. What they are is compared by their digest: training.pretrained.
        Text(),
        "What a new training begins with (--from): the parameters of a checkpoint, or of a run directory's best one "
        "(its newest, if none is kept as the best), with their scaling of the inputs; or those of a .safetensors file, "
        "alone. The last layer starts anew where its outputs meant other classes or targets.",
    ] = follows("initial parameters, which follow from train.seed", example="runs/digits")
    freeze: Annotated[
        tuple[str, ...],
        Text('the name of a layer: "0" the first, "2" the next, "4", ... as in the names of its parameters, 0.weight'),
        "Layers that are not trained: their parameters stay as they are, to the bit.",
    ] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.freeze, list | tuple):  # In whatever order: it is the same job.
            fill(self, "freeze", tuple(sorted(set(self.freeze), key=lambda name: (len(str(name)), str(name)))))


def unfit_to_freeze(freeze: Sequence[str], hidden_layers: Sequence[int]) -> str:
    """What is wrong with the layers that are to be frozen, as the end of a sentence; empty: nothing."""
    names = [str(2 * layer) for layer in range(len(hidden_layers) + 1)]
    shown = f"{', '.join(names[:8])}{', ...' * (len(names) > 8)}"
    if unknown := [name for name in freeze if name not in names]:
        return f"{unknown[0]!r:.40} is no layer of the network; its layers are {shown}"
    return f"these are all layers of the network, {shown}; one must be trained" if set(freeze) == set(names) else ""
