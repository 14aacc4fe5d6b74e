"""The section [data] of a job file; see `dpnet.config.job`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from dpnet.config.section import Governs, Section, Text


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section, governs=Governs.RESULT):
    """What to train on."""

    source: Annotated[
        str,
        Governs.OPERATION,  # Where the data lie. What they are is compared by their content: `data.identity`.
        Text(),
        "digits: the small set that comes with dpnet. Else a path, relative to the current directory: a folder of IDX "
        "files, an .npz file (x_train, y_train, x_test, y_test) or a folder of .npy files.",
    ] = "digits"
    scale: Annotated[
        Literal["none", "unit", "standardize"],
        "none: inputs as they are. unit: to 0..1. standardize: each feature to mean 0 and deviation 1. "
        "Measured on the training data alone.",
    ] = "standardize"
    check: Annotated[bool, Governs.OPERATION, "Check the inputs for NaN and infinity before training."] = True
    unknown_labels: Annotated[
        Literal["error", "ignore"],
        "Test samples whose label no training sample has. error: the training does not start. ignore: they are left "
        "out of the scores.",
    ] = "error"
