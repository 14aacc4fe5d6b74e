"""The choice of the kernels: numpy, or compiled loops where numba is installed. Their bits are the same."""

from __future__ import annotations

import importlib.util

from dpnet.compute.loops import reference
from dpnet.compute.loops.interface import Kernels
from dpnet.errors import ConfigError

NUMPY = Kernels("numpy", reference, {})


def choose_kernels(setting: str) -> Kernels:
    """The kernels that `train.kernels` selects; "auto" is numba where it is installed, otherwise numpy.

    Raises:
        ConfigError: `setting` is "numba", which is not installed.
    """
    if setting == "numpy" or (setting == "auto" and not numba_is_installed()):
        return NUMPY
    if not numba_is_installed():
        raise ConfigError('train.kernels is "numba", which is not installed; pip install \'dpnet[fast]\', or "auto"')

    # Imported here because importing numba takes half a second.
    from dpnet.compute.loops import compiled
    from dpnet.compute.loops import compiled_rules as rules

    return Kernels("numba", compiled, {"sgd": rules.sgd, "momentum": rules.momentum, "adaptive": rules.adaptive})


def numba_is_installed() -> bool:
    """Whether numba, part of the extra `fast`, is installed."""
    return importlib.util.find_spec("numba") is not None
