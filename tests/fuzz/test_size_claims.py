"""Small files that claim, or hold, far more than they should give an error before the memory is taken.

A process of its own reads them all, under a low limit on memory: an allocation of gigabytes fails there even if this
machine would grant it.
"""

from __future__ import annotations

import bz2
import gzip
import os
import struct
import subprocess
import sys
import zlib

import pytest
from helpers.fuzzing import tensor_file

from dpnet.checkpoint import format as checkpoint
from dpnet.errors import CheckpointError

MEGABYTES = 64
READ = f"""
import os, pathlib, resource, sys, tracemalloc
import dpnet.cli.main
from dpnet.checkpoint import format as checkpoint
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DpnetError
from dpnet.inference.network import make_network

def read(path):
    if path.is_dir():
        make_network(checkpoint.read(path))
    else:
        open_split(str(path), "train")

taken = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + ({MEGABYTES} << 20),) * 2)
tracemalloc.start()
for name in sorted(os.listdir(sys.argv[1])):
    tracemalloc.reset_peak()
    try:
        read(pathlib.Path(sys.argv[1], name))
        print(name, "was read")
    except DpnetError as error:
        peak = tracemalloc.get_traced_memory()[1] >> 20
        print(name, type(error).__name__, peak, str(error).replace(chr(10), " "), sep="|")
"""


def deflated_zeros(megabytes):
    """A raw deflate stream that inflates to so many megabytes of zeros."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)
    return block * megabytes + stream.flush()


def npy_header(descr, shape, length=None):
    text = (repr({"descr": descr, "fortran_order": False, "shape": shape}) + "\n").encode()
    return b"\x93NUMPY\2\0" + struct.pack("<I", len(text) if length is None else length) + text


def zip_of(content, method, file_size, name=b"x_train.npy"):
    """A zip file of one member, given compressed, that claims to inflate to `file_size` bytes."""
    sizes = struct.pack("<QQ", file_size, len(content))
    extra = struct.pack("<HH", 1, len(sizes)) + sizes
    fields = struct.pack("<HHHHHIIIHH", 45, 0, method, 0, 0, 0, 2**32 - 1, 2**32 - 1, len(name), len(extra))
    local = b"PK\3\4" + fields + name + extra + content
    central = b"PK\1\2" + struct.pack("<H", 45) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name + extra
    return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


def deflated(content):
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(content) + stream.flush(zlib.Z_FULL_FLUSH)


HUGE = 10**15
IDX_HUGE = bytes([0, 0, 8, 2]) + struct.pack(">II", 10**9, 10**6)
IDX_SMALL = bytes([0, 0, 8, 2]) + struct.pack(">II", 10, 10)
NPY_SMALL, NPY_HUGE = npy_header("|u1", (10, 10)), npy_header("|u1", (HUGE, 1))
DATA = {
    "claim-idx2-x": (IDX_HUGE + bytes(88), "its header promises 1000000000000000"),
    "claim-idx2-x.gz": (gzip.compress(IDX_HUGE + bytes(88)), "its header promises 1000000000000000"),
    "bomb-idx2-x.gz": (gzip.compress(IDX_SMALL) + gzip.compress(bytes(1 << 20)) * 1024, "more than 100 bytes"),
    "claim.npy": (NPY_HUGE + bytes(48), "its header promises 1000000000000000"),
    "header.npy": (npy_header("|u1", (1, 1), 2**32 - 1), "header of 4294967295 bytes"),
    "empty.npy": (npy_header("|S0", (HUGE, 1)), "elements of 0 bytes"),
    "deep.npy": (b"\x93NUMPY\2\0" + struct.pack("<I", 9000) + b"-" * 9000, "damaged"),
    "claim.npz": (
        zip_of(deflated(NPY_HUGE + os.urandom(9000)), 8, HUGE + len(NPY_HUGE)),
        "its header promises 1000000000000000",
    ),
    "other.npz": (zip_of(deflated(NPY_SMALL) + deflated_zeros(1024), 8, 2**30), "its header promises 100"),
    "bomb.npz": (zip_of(deflated(NPY_SMALL) + deflated_zeros(1024), 8, len(NPY_SMALL) + 100), "CRC"),
    "header.npz": (
        zip_of(deflated(npy_header("|u1", (1, 1), 2**30)) + deflated_zeros(1024), 8, 2**30),
        "header of 1073741824 bytes",
    ),
    "bzip2.npz": (zip_of(bz2.compress(NPY_SMALL + bytes(1 << 28)), 12, len(NPY_SMALL) + 100), "by method 12"),
}
ENTRY = {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4 * HUGE]}
CHECKPOINTS = {
    "tensor-claim": ({}, {"model.safetensors": tensor_file({"0.weight": ENTRY}, bytes(16))}, "no safetensors file"),
    "tensor-header": ({}, {"model.safetensors": tensor_file({}, b"", 2**62)}, "no safetensors file"),
    "tensor-long": ({}, {"optimizer.safetensors": 2**40}, "has 1099511627776 bytes; expected at most"),
    "manifest-long": ({}, {"manifest.json": 2**40}, "has 1099511627776 bytes; expected at most"),
    "sizes": ({"sizes": [10**9, 2, 10**9]}, {}, "not those of a network of sizes"),
    "layers": ({"sizes": [1] * 200_000}, {}, "not those of a network of sizes"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory, trained):
    """What the process reports about every file: kind of error, megabytes taken, message."""
    folder = tmp_path_factory.mktemp("claims")
    for name, (content, _) in DATA.items():
        (folder / name).write_bytes(content)
    for name, (changes, files, _) in CHECKPOINTS.items():
        lengths = {file: data for file, data in files.items() if isinstance(data, int)}
        whole = {file: data for file, data in files.items() if file not in lengths}
        trained.rewrite({**trained.manifest(), **changes}, whole)
        (folder / name).mkdir()
        for file in os.listdir(trained.folder):
            (folder / name / file).write_bytes((trained.folder / file).read_bytes())
        for file, length in lengths.items():
            os.truncate(folder / name / file, length)
    result = subprocess.run(
        [sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return dict(line.split("|", 1) for line in result.stdout.splitlines())


@pytest.mark.parametrize("name", [*DATA, *CHECKPOINTS])
def test_a_claim_of_much_memory_is_refused_before_it_is_taken(answers, name):
    kind, peak, message = answers[name].split("|", 2)
    assert kind == ("DataError" if name in DATA else "CheckpointError")
    assert int(peak) <= 24
    assert {**DATA, **CHECKPOINTS}[name][-1] in message
    assert "memory" not in message


def test_a_manifest_that_is_no_regular_file_is_not_waited_for(trained, tmp_path):
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(CheckpointError, match="it is no regular file"):
        checkpoint.read(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="it is no regular file"):
        checkpoint.read(tmp_path)


def test_the_test_would_see_memory_that_is_taken(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"x")
    script = READ.replace('open_split(str(path), "train")', f"bytearray({4 * MEGABYTES} << 20)")
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "MemoryError" in result.stderr
