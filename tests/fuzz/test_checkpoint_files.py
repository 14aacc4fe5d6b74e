"""Files of a checkpoint with any bytes give a CheckpointError, or a checkpoint that can be used or is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.fuzzing import INTEGERS, WILD, examples, mutate, mutations, only_dpnet_errors, tensor_file
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.state_dict import read_state_dict
from dpnet.cli.main import run
from dpnet.errors import CheckpointError
from dpnet.training.pretrained.find import Pretrained

FILES = [f"{name}.safetensors" for name in checkpoint.FILES]


def test_the_checkpoint_that_is_changed_is_whole(trained):
    trained.rewrite()
    found = checkpoint.read(trained.folder)
    assert found.manifest == trained.manifest()
    trained.use(found)


@examples(100)
@given(st.binary(max_size=200) | WILD.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_no_manifest(trained, content):
    (trained.folder / "manifest.json").write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint.read(trained.folder)


@examples(100)
@given(mutations)
def test_a_mutated_manifest(trained, changes):
    trained.rewrite()
    (trained.folder / "manifest.json").write_bytes(mutate((trained.original / "manifest.json").read_bytes(), changes))
    trained.consume()


@examples(100)
@given(mutations)
def test_a_mutated_manifest_with_the_right_checksum(trained, changes):
    text = mutate((trained.original / "manifest.json").read_bytes(), changes)
    try:
        manifest = json.loads(text)
    except ValueError:
        return
    if isinstance(manifest, dict):
        trained.rewrite(manifest)
        trained.consume()


def change(content, path, value):
    """Replace the value at a path of places from 0 to 1, or above it where nothing lies deeper."""
    while isinstance(content, dict | list) and content:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = keys[int(path[0] * len(keys))]
        path = path[1:]
        if not path or not isinstance(content[key], dict | list) or not content[key]:
            content[key] = value
            return
        content = content[key]


PLACES = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3)


@examples(100)
@given(st.lists(st.tuples(PLACES, WILD), min_size=1, max_size=3), st.sampled_from(["", *checkpoint.FILES]))
def test_a_manifest_with_wild_values(trained, changes, extra):
    manifest = trained.manifest()
    for path, value in changes:
        change(manifest, path, value)
        if extra:
            manifest[extra] = value
    trained.rewrite(manifest)
    trained.consume()


@pytest.mark.parametrize("section", ["progress", "data", "numerics", "sizes"])
@examples(60)
@given(st.data())
def test_a_section_with_wild_values(trained, section, data):
    manifest = trained.manifest()
    kept = manifest[section]
    if section == "sizes":
        manifest[section] = data.draw(st.lists(st.integers(1, 5) | st.integers() | INTEGERS, max_size=5))
    else:
        for name in data.draw(st.sets(st.sampled_from(sorted(kept)), min_size=1)):
            kept[name] = data.draw(st.floats() | st.integers(-3, 10**400) | WILD)
    trained.rewrite(manifest)
    trained.consume()


@pytest.mark.parametrize("file", FILES)
@examples(80)
@given(st.binary(max_size=200))
def test_any_bytes_as_tensors(trained, file, content):
    trained.rewrite(files={file: content})
    trained.consume()


@pytest.mark.parametrize("file", FILES)
@examples(120)
@given(mutations)
def test_mutated_tensors(trained, file, changes):
    trained.rewrite(files={file: mutate((trained.original / file).read_bytes(), changes)})
    trained.consume()


DTYPES = ["BOOL", "U8", "I8", "I16", "F16", "BF16", "F32", "F64", "I64", "U64", "F8_E4M3", "C64", "F4", "", "X"]
NAMES = ["0.weight", "0.bias", "1" * 5000 + ".bias", "scaling.offset", "scaling.factor", "0.weight.exp_avg", "", "\0"]
SIDES = st.integers(0, 4) | INTEGERS | st.integers(-(2**70), 2**70)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(DTYPES) | st.text(max_size=4),
        "shape": st.lists(SIDES, max_size=4) | st.just([1] * 70) | st.just([0, 2**64 - 1]),
        "data_offsets": st.tuples(st.integers(0, 16), st.integers(0, 96)) | st.lists(SIDES, max_size=3),
    }
)


@pytest.mark.parametrize("file", FILES)
@examples(100)
@given(
    entries=st.dictionaries(st.sampled_from(NAMES), ENTRIES, max_size=3),
    data=st.sampled_from([b"", b"\0" * 4, b"\xff" * 8, b"\0" * 32, b"\x7f" * 96]),
    length=st.none() | INTEGERS,
)
def test_any_header_of_tensors(trained, file, entries, data, length):
    trained.rewrite(files={file: tensor_file(entries, data, length)})
    trained.consume()


ARRAYS = st.sampled_from(["f4", "f8", "f2", "i8", "u1", "?", "c8"]).flatmap(
    lambda dtype: st.lists(st.integers(0, 3), max_size=3).map(lambda shape: np.ones(shape, dtype))
) | st.sampled_from(
    [np.full(3, np.nan), np.full(1, np.inf), np.zeros(3), np.full(3, 1e308), np.zeros((0, 2**40)), np.full(3, -1e-300)]
)


@pytest.mark.parametrize("kind", checkpoint.FILES)
@examples(100)
@given(data=st.data())
def test_wild_tensors(trained, kind, data):
    found = checkpoint.read(trained.original)
    tensors = dict(getattr(found, kind))
    for name in data.draw(st.sets(st.sampled_from([*sorted(tensors), *NAMES]), min_size=1, max_size=3)):
        array = data.draw(st.none() | ARRAYS)
        tensors.pop(name, None) if array is None else tensors.update({name: array})
    with only_dpnet_errors():
        trained.rewrite(files={f"{kind}.safetensors": save(tensors)})
        trained.consume()


# --- files of parameters, which a training begins with ---


def begin_with_file(trained, content):
    path = trained.folder.with_name("parameters.safetensors")
    path.write_bytes(content)
    with only_dpnet_errors(CheckpointError):
        found = read_state_dict(path)
        trained.begin_with(Pretrained({"path": str(path), "digest": found.digest, "scaling": ""}, "x"), found)


def test_the_file_that_is_changed_is_one_to_begin_with(trained):
    found = read_state_dict(trained.original / "model.safetensors")
    trained.begin_with(Pretrained({"path": "x", "digest": found.digest, "scaling": ""}, "x"), found)


@examples(80)
@given(st.binary(max_size=200))
def test_any_bytes_as_parameters_to_begin_with(trained, content):
    begin_with_file(trained, content)


@examples(150)
@given(mutations)
def test_mutated_parameters_to_begin_with(trained, changes):
    begin_with_file(trained, mutate((trained.original / "model.safetensors").read_bytes(), changes))


@examples(150)
@given(
    entries=st.dictionaries(st.sampled_from([*NAMES, "weight", "bias", "a.weight", "a.bias"]), ENTRIES, max_size=4),
    data=st.sampled_from([b"", b"\0" * 4, b"\xff" * 8, b"\0" * 32, b"\x7f" * 96]),
    length=st.none() | INTEGERS,
)
def test_any_header_of_parameters_to_begin_with(trained, entries, data, length):
    begin_with_file(trained, tensor_file(entries, data, length))


@examples(100)
@given(data=st.data())
def test_wild_parameters_to_begin_with(trained, data):
    tensors = dict(checkpoint.read(trained.original).model)
    for name in data.draw(st.sets(st.sampled_from([*sorted(tensors), *NAMES]), min_size=1, max_size=3)):
        array = data.draw(st.none() | ARRAYS)
        tensors.pop(name, None) if array is None else tensors.update({name: array})
    with only_dpnet_errors():
        content = save(tensors)
        begin_with_file(trained, content)


@examples(60)
@given(WILD | st.fixed_dictionaries({"path": WILD, "digest": WILD, "scaling": WILD}))
def test_a_wild_record_of_what_a_run_began_with(trained, record):
    manifest = {**trained.manifest(), "pretrained": record}
    trained.rewrite(manifest)
    trained.consume()


@examples(25)
@given(st.sampled_from(["progress", "data", "numerics", "config"]), WILD, mutations)
def test_inspect_of_a_wild_checkpoint_has_an_exit_code(trained, section, value, changes):
    manifest = trained.manifest()
    manifest[section]["numpy"] = value
    manifest["dpnet"] = "\x1b[2J\ud800" if len(changes) > 2 else manifest["dpnet"]
    trained.rewrite(manifest)
    assert run(["inspect", str(trained.folder)]) in (0, 1)


def test_a_wild_checkpoint_does_not_command_the_terminal(trained, capsys):
    trained.rewrite({**trained.manifest(), "dpnet": "\x1b[2J"})
    assert run(["inspect", str(trained.folder)]) == 0
    assert "\x1b" not in capsys.readouterr().out
