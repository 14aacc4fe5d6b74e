"""dpnet: exact data-parallel training of neural networks on CPU clusters, on numpy and MPI.

    import dpnet
    summary = dpnet.train(dpnet.load_job("job.toml", ["train.epochs=3"]))

Names are imported when they are first used: thousands of ranks import this package at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dpnet.about import __version__ as __version__

if TYPE_CHECKING:
    from dpnet.comm.connect import connect
    from dpnet.config.file import load as load_job
    from dpnet.config.job import Job
    from dpnet.errors import (
        CheckpointError,
        CommunicationError,
        ConfigError,
        DataError,
        DivergenceError,
        DpnetError,
        OutputError,
    )
    from dpnet.inference.evaluate import evaluate
    from dpnet.inference.network import load_network
    from dpnet.inference.predict import predict
    from dpnet.training.run import train

__all__ = [
    "CheckpointError",
    "CommunicationError",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "DpnetError",
    "Job",
    "OutputError",
    "connect",
    "evaluate",
    "load_job",
    "load_network",
    "predict",
    "train",
]

_PLACES = {
    "Job": ("dpnet.config.job", "Job"),
    "connect": ("dpnet.comm.connect", "connect"),
    "evaluate": ("dpnet.inference.evaluate", "evaluate"),
    "load_job": ("dpnet.config.file", "load"),
    "load_network": ("dpnet.inference.network", "load_network"),
    "predict": ("dpnet.inference.predict", "predict"),
    "train": ("dpnet.training.run", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES.get(name, ("dpnet.errors", name))
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
