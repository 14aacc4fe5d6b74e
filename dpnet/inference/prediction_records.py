"""Predictions that stay in memory: the records that an .npy file of them would hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix, SampleIds
from dpnet.inference.answers import Answers


class PredictionRecords:
    """Predictions in memory; takes them as `PredictionFile` does, but on every rank.

    Args:
        num_samples: samples that will be appended, at most.
        answers: what is kept of each sample.
        dtype: of the outputs.
        names: (samples,) str, of all samples; None: they have none.
    """

    def __init__(
        self, num_samples: int, answers: Answers, dtype: np.dtype[Any], names: npt.NDArray[np.object_] | None
    ) -> None:
        self._answers, self._names, self._appended = answers, names, 0
        longest = 0 if names is None else max(map(len, names), default=0)
        of_names = [] if names is None else [("id", f"<U{max(1, longest)}")]
        self._records = np.empty(num_samples, np.dtype([*of_names, *answers.record(dtype)]))

    def append(self, finished: Matrix, ids: SampleIds) -> None:
        """Keep the next samples; see `PredictionFile.append`."""
        records = self._records[self._appended : self._appended + len(ids)]
        self._appended += len(ids)
        self._answers.fill(records, finished)
        if self._names is not None:
            records["id"] = self._names[ids]

    def whole(self) -> npt.NDArray[Any]:
        """The records of all samples that were appended."""
        return self._records[: self._appended]
