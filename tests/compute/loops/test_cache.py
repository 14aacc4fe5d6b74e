"""numba's cache saves time, and never ends a training, whatever state its files are in."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="numba is not installed; pip install 'dpnet[fast]'")

SCRIPT = """
import numpy as np
from dpnet.compute.loops import compiled, choose
FAIL
z, bias = np.zeros((2, 3), np.float32), np.arange(3, dtype=np.float32)
compiled.add_bias(z, bias)
compiled.add_bias(z, bias)
assert (z == 2 * bias).all()
hits = sum(compiled.add_bias.stats.cache_hits.values())
print(hits, choose.remark("auto", choose.choose_kernels("auto")))
"""


def run(folder, fail=""):
    """Compiles a loop, or loads it from a cache in a folder; returns the number of loads and the remark."""
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("FAIL", fail)], env=environ, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    hits, _, said = result.stdout.strip().partition(" ")
    return int(hits), said


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    assert run(folder) == (0, "")
    assert run(folder) == (1, "")
    return folder


DAMAGES = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "something else": lambda data: b"hello\n" * 100,
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_replaced(cache, ending, damage):
    files = list(cache.rglob(f"*add_bias-*{ending}"))
    assert files
    for path in files:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert run(cache) == (0, "")
    assert run(cache) == (1, "")  # It was written anew.


def test_where_nothing_can_be_kept_loops_are_compiled_and_a_sentence_names_the_variable(tmp_path):
    lines = "import numba.core.caching as caching", "caching.{}", "compiled.keep_compiled(compiled.add_bias)"
    full = "\n".join(lines).format("IndexDataCacheFile.save = lambda *a: open('/dev/full', 'wb', 0).write(b'x')")
    missing = "\n".join(lines).format("CacheImpl._locator_classes = []")
    for fail, why in ((full, "No space left on device"), (missing, "there is no folder that can be written")):
        hits, said = run(tmp_path / "cache", fail)
        assert hits == 0
        begin = "loops are compiled anew at every start: numba cannot keep them"
        assert said.startswith(f"{begin}, {why}; set NUMBA_CACHE_DIR")
