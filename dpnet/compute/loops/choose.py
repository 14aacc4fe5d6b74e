"""The choice of the kernels: numpy, or compiled loops where numba is installed. Their bits are the same."""

from __future__ import annotations

import importlib
import importlib.util
import os

from dpnet.compute.loops import reference
from dpnet.compute.loops.interface import Kernels
from dpnet.errors import ConfigError

NUMPY = Kernels("numpy", reference, {})


def choose_kernels(setting: str) -> Kernels:
    """The kernels that `train.kernels` selects; "auto" is numba where it is installed and works, otherwise numpy.

    Raises:
        ConfigError: `setting` is "numba", which is not installed or does not work.
    """
    why = "" if setting == "numpy" else numba_obstacle()
    if setting == "numpy" or (setting == "auto" and why):
        return NUMPY
    if why:
        raise ConfigError(f'train.kernels is "numba", but {why}')

    # Imported here because importing numba takes half a second.
    from dpnet.compute.loops import compiled
    from dpnet.compute.loops import compiled_rules as rules

    return Kernels("numba", compiled, {"sgd": rules.sgd, "momentum": rules.momentum, "adaptive": rules.adaptive})


def numba_obstacle() -> str:
    """Why loops cannot be compiled; empty: they can."""
    if not numba_is_installed():
        return "it is not installed; pip install 'dpnet[fast]', or \"auto\""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "NUMBA_DISABLE_JIT is set"
    try:
        importlib.import_module("dpnet.compute.loops.compiled_rules")
    except Exception as error:  # Another numpy than numba knows, a library that cannot be loaded.
        return f"numba cannot be used: {error}"
    return ""


def numba_is_installed() -> bool:
    """Whether numba, part of the extra `fast`, is installed."""
    return importlib.util.find_spec("numba") is not None


def remark(setting: str, kernels: Kernels) -> str:
    """What a user should know about the loops who installed numba and lost time by it; empty: nothing.

    Args:
        setting: `train.kernels`.
        kernels: what it selected; compiled already.
    """
    if kernels is NUMPY:
        unexpected = numba_obstacle() if setting == "auto" and numba_is_installed() else ""
        return f"loops by numpy, which is slower: {unexpected}" if unexpected else ""
    from dpnet.compute.loops.cache import ADVICE, obstacle

    why = obstacle()
    return f"loops are compiled anew at every start: numba cannot keep them, {why}; {ADVICE}" if why else ""
