"""Finds and loads shared libraries that wheels install outside of any Python package."""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
from typing import Any, NamedTuple

from dpnet.errors import ConfigError


class Wheel(NamedTuple):
    """A shared library and the wheel that installs it.

    Attributes:
        distribution: name of the wheel.
        file: how the file name of the library starts.
        extra: the extra of dpnet that installs the wheel.
        environ: variables to set before the library is loaded, unless the user has set them.
    """

    distribution: str
    file: str
    extra: str
    environ: dict[str, str]


# Threads that spin after a product take the cores from the work that follows: let them spin for microseconds only.
WHEELS = {
    "mkl": Wheel("mkl", "libmkl_rt.so", "mkl", {"KMP_BLOCKTIME": "100us"}),
    "onednn": Wheel("onednn-cpu-gomp", "libdnnl.so", "fast", {"GOMP_SPINCOUNT": "300"}),
}


def find(name: str) -> str | None:
    """Path of the library `name`; None if it is not installed."""
    wheel = WHEELS[name]
    try:
        files = metadata().files(wheel.distribution) or []
    except metadata().PackageNotFoundError:
        return None
    found = [file for file in files if file.name.startswith(wheel.file)]
    return os.path.realpath(str(found[0].locate())) if found else None


def load(name: str) -> Any:
    """The library `name`, which must be installed.

    Raises:
        ConfigError: the library cannot be loaded.
    """
    path = find(name)
    for variable, value in WHEELS[name].environ.items():
        os.environ.setdefault(variable, value)
    try:
        assert path is not None, "only an installed library is chosen"
        return ctypes.CDLL(path)
    except OSError as error:
        raise ConfigError(f'cannot load {name}: {error}; reinstall it, or set train.blas to "numpy"') from error


@functools.cache
def loads(name: str) -> bool:
    """Whether the library `name` is installed and can be loaded."""
    try:
        return find(name) is not None and load(name) is not None
    except ConfigError:
        return False


def version(name: str) -> str | None:
    """Version of the wheel of library `name`; None for the one that numpy brings."""
    return metadata().version(WHEELS[name].distribution) if name in WHEELS else None


def metadata() -> Any:
    """The module importlib.metadata, which takes longer to import than most ranks need it."""
    return importlib.import_module("importlib.metadata")
