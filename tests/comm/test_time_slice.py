"""Ranks ask for short time slices, and for nothing else."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys

import pytest

from dpnet.comm import time_slice

SHOW = """
import ctypes, os
from dpnet.comm import time_slice

def attributes():
    found = time_slice._Attributes()
    number = ctypes.c_long(time_slice.NUMBERS[os.uname().machine][1])
    size = ctypes.c_uint(ctypes.sizeof(found))
    assert ctypes.CDLL(None).syscall(number, ctypes.c_int(0), ctypes.byref(found), size, ctypes.c_uint(0)) == 0
    return {name: getattr(found, name) for name, _ in found._fields_}

os.nice(3)
before = attributes()
time_slice.shorten_time_slice()
after = attributes()
print(before["policy"], after["policy"], before["nice"], after["nice"], before["flags"], after["flags"])
print(after["runtime"])
"""


def run(*prefix):
    command = [*prefix, sys.executable, "-c", SHOW]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


needs_linux = pytest.mark.skipif(platform.machine() not in time_slice.NUMBERS, reason="no such call on this machine")


@needs_linux
def test_priority_and_policy_stay_as_they_were():
    same, runtime = run()
    values = same.split()
    assert values[::2] == values[1::2]
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert runtime == str(time_slice.SLICE_NS) or release < (6, 12)


@needs_linux
@pytest.mark.skipif(shutil.which("chrt") is None, reason="chrt, of util-linux, is not installed")
def test_a_process_with_another_policy_is_left_alone():
    same, runtime = run("chrt", "--batch", "0")
    assert same.split()[:2] == ["3", "3"]
    assert runtime != str(time_slice.SLICE_NS)


def test_a_machine_without_the_call_goes_on_as_it_is(monkeypatch):
    monkeypatch.setattr(time_slice.platform, "machine", lambda: "vax")
    monkeypatch.setattr(ctypes, "CDLL", None)
    time_slice.shorten_time_slice()
