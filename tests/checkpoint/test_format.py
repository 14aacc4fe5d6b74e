"""A checkpoint is whole or absent, and damage to any byte of it is noticed."""

import contextlib
import errno
import hashlib
import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint import manifest as manifest_module
from dpnet.checkpoint.format import Checkpoint
from dpnet.errors import CheckpointError, OutputError

MANIFEST = {
    "step": 7,
    "epoch": 1,
    "samples_of_epoch": 3,
    "sizes": [2, 3, 2],
    "config": {"train": {"seed": 1}},
    "data": {"samples": 4},
    "progress": {"step": 7, "seconds": 0.1, "loss": 1e-8},
    "world_size": 3,
    "numerics": {"numpy": "2.0"},
    "dpnet": "0.1.0",
}


def content(step=7):
    generator = np.random.default_rng(step)
    model = {
        "0.weight": generator.standard_normal((3, 2)).astype(np.float32),
        "0.bias": np.array([np.pi, -0.0, 1e-45], dtype=np.float32),
        "2.weight": generator.standard_normal((2, 3)).astype(np.float32),
        "2.bias": np.zeros(2, dtype=np.float32),
    }
    optimizer = {f"{name}.exp_avg": array * 2 for name, array in model.items()}
    scaling = {"scaling.offset": np.zeros(2), "scaling.factor": np.ones(2)}
    return Checkpoint(model, optimizer, scaling, {**MANIFEST, "step": step})


def test_optimizer_vectors_of_many_workers_are_read_and_no_more_than_the_job_has(tmp_path):
    params, workers = {"0.weight": np.ones((100, 1000), np.float32), "0.bias": np.ones(100, np.float32)}, 12
    vectors = {f"{name}.worker{n}.{kind}": array for name, array in params.items() for n in range(12) for kind in "ab"}
    for number in (workers, 0, -1, True, "12", None):
        config = {"train": {"workers": number}}
        manifest = {**MANIFEST, "sizes": [1000, 100], "config": config}
        checkpoint.write(tmp_path, Checkpoint(params, vectors, {}, manifest))
        if number is workers:
            assert len(checkpoint.read(tmp_path / "step-00000007").optimizer) == 4 * workers
        else:
            with pytest.raises(CheckpointError):
                checkpoint.read(tmp_path / "step-00000007")


def same(one, other):
    """Equal to the bit."""
    for name in checkpoint.FILES:
        a, b = getattr(one, name), getattr(other, name)
        if a.keys() != b.keys():
            return False
        if any(a[k].dtype != b[k].dtype or a[k].shape != b[k].shape or a[k].tobytes() != b[k].tobytes() for k in a):
            return False
    return all(other.manifest[key] == value for key, value in one.manifest.items())


def sign(manifest):
    """The manifest with the sha256 that belongs to it."""
    manifest = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    text = json.dumps(manifest, sort_keys=True)
    return {**manifest, "manifest_sha256": hashlib.sha256(text.encode()).hexdigest()}


def rewrite(directory, **changes):
    """Change a manifest and sign it anew; None removes a key."""
    manifest = {**json.loads((directory / "manifest.json").read_text()), **changes}
    manifest = {key: value for key, value in manifest.items() if value is not None}
    (directory / "manifest.json").write_text(json.dumps(sign(manifest)))


def test_what_is_written_is_read(tmp_path):
    assert checkpoint.write(tmp_path / "new", content()) == tmp_path / "new/step-00000007"
    assert same(content(), checkpoint.read(tmp_path / "new/step-00000007"))
    assert sorted(os.listdir(tmp_path / "new")) == ["step-00000007"]


def test_a_tensor_that_lies_transposed_in_memory_is_written_as_it_reads(tmp_path):
    # As the views of a layout do.
    turned = {name: np.ascontiguousarray(array.T).T for name, array in content().model.items()}
    assert not turned["0.weight"].flags.c_contiguous
    directory = checkpoint.write(tmp_path, replace(content(), model=turned))
    assert same(content(), checkpoint.read(directory))


def test_an_optimizer_without_vectors_is_kept(tmp_path):
    bare = replace(content(), optimizer={})
    assert same(bare, checkpoint.read(checkpoint.write(tmp_path, bare)))


def test_the_files_are_those_of_the_contract(tmp_path):
    directory = checkpoint.write(tmp_path, content())
    assert sorted(os.listdir(directory)) == [
        "manifest.json",
        "model.safetensors",
        "optimizer.safetensors",
        "scaling.safetensors",
    ]
    model = load_file(directory / "model.safetensors")
    assert {name: array.shape for name, array in model.items()} == {
        "0.weight": (3, 2),
        "0.bias": (3,),
        "2.weight": (2, 3),
        "2.bias": (2,),
    }
    manifest = json.loads((directory / "manifest.json").read_text())
    for name, expected in manifest["sha256"].items():
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == expected
    assert sign(manifest) == manifest


def test_pytorch_loads_the_model_as_it_is(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch

    directory = checkpoint.write(tmp_path, content())
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    network.load_state_dict(load_torch(directory / "model.safetensors"))
    assert network[2].weight.detach().numpy().tobytes() == content().model["2.weight"].tobytes()


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "scaling.safetensors", "manifest.json"])
def test_damage_to_any_byte_is_noticed(tmp_path, name):
    directory = checkpoint.write(tmp_path, content())
    path = directory / name
    whole = path.read_bytes()
    changes = [
        whole[:at] + bytes([whole[at] ^ bits]) + whole[at + 1 :] for at in range(len(whole)) for bits in (1, 128)
    ]
    changes += [whole[:length] for length in range(0, len(whole), 7)] + [whole + b"x"]
    for damaged in changes:
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"is damaged|has format"):
            checkpoint.read(directory)
    path.unlink()
    with pytest.raises(CheckpointError, match=name):
        checkpoint.read(directory)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FAST
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_other_manifest_is_refused(tmp_path, data):
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(CheckpointError):
        checkpoint.read(tmp_path)


@FAST
@given(st.sampled_from([*manifest_module.MANIFEST, "format"]), JSON)
def test_a_signed_manifest_with_other_values_is_refused_or_harmless(tmp_path, name, value):
    directory = checkpoint.write(tmp_path, content())
    original = (directory / "manifest.json").read_text()
    manifest = json.loads(original)
    parent, _, key = name.rpartition(".")
    (manifest[parent] if parent else manifest)[key] = value
    (directory / "manifest.json").write_text(json.dumps(sign(manifest)))
    with contextlib.suppress(CheckpointError):
        assert checkpoint.read(directory).step >= 0
    (directory / "manifest.json").write_text(original)


@pytest.mark.parametrize("name", manifest_module.MANIFEST)
def test_a_signed_manifest_that_lacks_something_is_refused(tmp_path, name):
    directory = checkpoint.write(tmp_path, content())
    manifest = json.loads((directory / "manifest.json").read_text())
    parent, _, key = name.rpartition(".")
    del (manifest[parent] if parent else manifest)[key]
    (directory / "manifest.json").write_text(json.dumps(sign(manifest)))
    with pytest.raises(CheckpointError, match=name):
        checkpoint.read(directory)


@pytest.mark.parametrize("value", [-1, True, 1.0, "7", 2**63])
def test_a_step_that_is_no_number_of_steps_is_refused(tmp_path, value):
    directory = checkpoint.write(tmp_path, content())
    rewrite(directory, step=value)
    with pytest.raises(CheckpointError, match=r"step is|an integer of 64 bits"):
        checkpoint.read(directory)


@pytest.mark.parametrize("sizes", [[], [3], [0, 3], [2, "3"], [2, True], [-1, 2]])
def test_sizes_of_no_network_are_refused(tmp_path, sizes):
    directory = checkpoint.write(tmp_path, content())
    rewrite(directory, sizes=sizes)
    with pytest.raises(CheckpointError, match="sizes is"):
        checkpoint.read(directory)


def tensor_file(name, dtype, num_bytes):
    header = json.dumps({name: {"dtype": dtype, "shape": [1], "data_offsets": [0, num_bytes]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(num_bytes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no tensors", "no safetensors file"),
        (tensor_file("0.weight", "BF16", 2), "no safetensors file"),
        (tensor_file("weight", "F32", 4), "tensor 'weight'"),
        (tensor_file("x.weight", "F32", 4), "tensor 'x.weight'"),
        (tensor_file("\N{SUPERSCRIPT TWO}.weight", "F32", 4), "expected N.weight"),
    ],
)
def test_a_model_of_another_program_is_refused(tmp_path, data, message):
    directory = checkpoint.write(tmp_path, content())
    (directory / "model.safetensors").write_bytes(data)
    sums = json.loads((directory / "manifest.json").read_text())["sha256"]
    rewrite(directory, sha256={**sums, "model.safetensors": hashlib.sha256(data).hexdigest()})
    with pytest.raises(CheckpointError, match=message):
        checkpoint.read(directory)


def failing_at(call, function, counts, error=errno.ENOSPC):
    def replacement(*arguments, **named):
        counts.append(1)
        if len(counts) == call:
            raise OSError(error, os.strerror(error))
        return function(*arguments, **named)

    return replacement


@pytest.mark.parametrize("names", [("fsync",), ("rename",), ("mkdir",), ("fsync", "rename", "mkdir", "open")])
def test_a_write_that_fails_anywhere_leaves_all_or_nothing(tmp_path, monkeypatch, names):
    for call in range(1, 100):
        folder, counts = tmp_path / str(call), []
        before = checkpoint.write(folder, content(3))
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, failing_at(call, getattr(os, name), counts))
            with contextlib.suppress(OutputError):
                checkpoint.write(folder, content(7))
        assert same(content(3), checkpoint.read(before))
        assert set(os.listdir(folder)) <= {"step-00000003", "step-00000007"}
        if (folder / "step-00000007").exists():
            assert same(content(7), checkpoint.read(folder / "step-00000007"))
        assert same(content(7), checkpoint.read(checkpoint.write(folder, content(7))))
        if len(counts) < call:
            assert call > len(names)
            return
    pytest.fail("there was no end of calls")


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(
        os, "fsync", lambda handle: calls.append(os.readlink(f"/proc/self/fd/{handle}")) or fsync(handle)
    )
    monkeypatch.setattr(os, "rename", lambda old, new: calls.append("rename") or rename(old, new))
    checkpoint.write(tmp_path / "checkpoints", content())
    temporary = tmp_path / "checkpoints/.unfinished-step-00000007"
    files = [temporary / name for name in ("model.safetensors", "optimizer.safetensors", "scaling.safetensors")]
    expected = [tmp_path, *files, temporary / "manifest.json", temporary, "rename", tmp_path / "checkpoints"]
    assert calls == list(map(str, expected))


def test_a_disk_that_fills_up_in_mid_file_leaves_nothing(tmp_path, monkeypatch):
    def half(path, data):
        Path(path).write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_synced", half)
    with pytest.raises(OutputError, match=r"step-00000007: No space left"):
        checkpoint.write(tmp_path, content())
    assert os.listdir(tmp_path) == []


def test_a_step_that_was_taken_again_has_its_newer_checkpoint(tmp_path):
    checkpoint.write(tmp_path, content())
    other = replace(content(), scaling={})
    assert same(other, checkpoint.read(checkpoint.write(tmp_path, other)))
    assert os.listdir(tmp_path) == ["step-00000007"]


@pytest.mark.parametrize("failing", [".unfinished-step-00000007", "step-00000007"])
def test_a_checkpoint_that_cannot_be_replaced_stays(tmp_path, monkeypatch, failing):
    def rename(old, new):
        if Path(old).name == failing:
            raise OSError(errno.EIO, "Input/output error")
        return original(old, new)

    original = os.rename
    checkpoint.write(tmp_path, content())
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OutputError, match="Input/output error"):
        checkpoint.write(tmp_path, replace(content(), scaling={}))
    assert same(content(), checkpoint.read(tmp_path / "step-00000007"))
    assert os.listdir(tmp_path) == ["step-00000007"]


def test_what_a_killed_write_left_is_in_no_ones_way(tmp_path):
    (tmp_path / ".unfinished-step-00000007/deep").mkdir(parents=True)
    assert same(content(), checkpoint.read(checkpoint.write(tmp_path, content())))


def test_the_digest_is_the_sha256_of_the_parameters_layer_by_layer():
    names = ["0.weight", "0.bias", "2.weight", "2.bias", "10.weight", "10.bias"]
    numbers = dict(zip(names, [1.0, -2.0, 3.0, 4.5, 1e-45, 0.0], strict=True))
    shuffled = ["10.weight", "0.bias", "2.bias", "2.weight", "10.bias", "0.weight"]
    expected = hashlib.sha256(struct.pack("<6f", *numbers.values())).hexdigest()
    assert checkpoint.digest({name: np.array([numbers[name]], dtype=np.float32) for name in shuffled}) == expected
    assert checkpoint.digest({name: np.array([numbers[name]], dtype=">f4") for name in shuffled}) == expected


def test_the_digest_of_known_parameters_stays_what_it_is():
    model = {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "0.bias": np.array([0.5, -0.5], np.float32)}
    assert checkpoint.digest(model) == "5f12ae1d64ded14b2b3f57b317bdb5330697851e0e3ad777c1f60b4fda567c2d"
    assert (
        checkpoint.digest({**model, "0.bias": model["0.bias"] * np.float32(1 + 2**-23)})
        != "5f12ae1d64ded14b2b3f57b317bdb5330697851e0e3ad777c1f60b4fda567c2d"
    )
