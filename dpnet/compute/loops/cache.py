"""numba's cache of compiled loops, except that it cannot end a training.

numba is optional, and so is its cache: a file in it may be damaged (a kill or a power cut while it was written), and
its folder may be full or read-only. What cannot be read is compiled again and replaced; what cannot be written is
compiled at every start.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from numba.core.caching import FunctionCache

ADVICE = "set NUMBA_CACHE_DIR to a folder that has room and can be written"

_obstacles: list[str] = []


def obstacle() -> str:
    """Why compiled loops could not be kept for the next start; empty: they were."""
    return _obstacles[0] if _obstacles else ""


def keep_compiled(dispatcher: Any) -> None:
    """Give a function of numba, which has been compiled for no arguments yet, a cache."""
    try:
        dispatcher._cache = _Cache(dispatcher.py_func)
    except (RuntimeError, OSError):
        _obstacles.append("there is no folder that can be written")


def unwritable() -> str:
    """Why what is compiled cannot be kept where it is to be, as far as a small file shows; empty: it can."""
    wanted = os.environ.get("NUMBA_CACHE_DIR", "")
    try:
        locator = FunctionCache(unwritable)._impl.locator
        locator.ensure_cache_path()
        if wanted and not locator.get_cache_path().startswith(wanted):  # numba takes another without a word.
            return f"NUMBA_CACHE_DIR={wanted} cannot be written"
    except RuntimeError:
        return "there is no folder that can be written"
    except OSError as error:
        return str(error.strerror or error)
    return ""


class _Cache(FunctionCache):  # type: ignore[misc]  # numba has no types.
    """The cache of one function."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for these arguments; None: compile it."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # Reading a damaged pickle raises anything.
            with contextlib.suppress(Exception):
                self.flush()  # An empty index, in place of one that is damaged or leads to a file that is.
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _obstacles.append(str(getattr(error, "strerror", None) or error))
