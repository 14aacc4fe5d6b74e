"""Files of parameters from elsewhere: which layer is which, what is read, and what is refused with what helps."""

import os
import struct

import numpy as np
import pytest
from helpers.jobs import train
from safetensors.numpy import save_file

from dpnet.checkpoint.state_dict import Linear, chain, read_state_dict
from dpnet.errors import CheckpointError

SIZES = (4, 6, 5, 3)


def tensors(names, sizes=SIZES, dtype=np.float32):
    """The tensors of a network whose layers have these names, each with numbers of its own."""
    draw, made = np.random.default_rng(1), {}
    for name, inputs, outputs in zip(names, sizes, sizes[1:], strict=False):
        made[f"{name}weight"] = draw.standard_normal((outputs, inputs)).astype(dtype)
        made[f"{name}bias"] = draw.standard_normal(outputs).astype(dtype)
    return made


def saved(path, arrays):
    save_file(arrays, path)
    return path


def order(path, sizes=SIZES):
    return [layer.name for layer in chain(read_state_dict(path).layers, sizes[0], sizes[1:-1])]


@pytest.mark.parametrize(
    ("names", "unclear"),
    [
        (("0.", "2.", "4."), ()),
        (("fc1.", "fc2.", "fc3."), ()),
        (("layers.8.", "layers.9.", "layers.10."), ()),
        (("module.0.", "module.2.", "module.4."), ()),
        (("encoder.", "body.", "a_head."), ((4, 4, 4, 4), (2, 5, 5, 5))),
        (("features.0.", "features.2.", "classifier."), ((4, 4, 4, 4), (2, 5, 5, 5))),
        (("net.0.lin1.", "net.0.lin2.", "net.1.lin1."), ()),
    ],
)
@pytest.mark.parametrize("sizes", [SIZES, (4, 4, 4, 4), (9, 3, 3, 2), (2, 5, 5, 5)])
def test_the_order_of_the_layers_is_found_by_their_shapes_and_numbers(tmp_path, names, unclear, sizes):
    path = saved(tmp_path / "m.safetensors", tensors(names, sizes))
    if sizes in unclear:
        with pytest.raises(ValueError, match=r"could both be layer [01] \(from 0\), and their names do not tell"):
            order(path, sizes)
    else:
        assert order(path, sizes) == [name.rstrip(".") for name in names]


def test_one_layer_may_have_no_name(tmp_path):
    assert order(saved(tmp_path / "m.safetensors", tensors([""], (4, 3))), (4, 3)) == [""]


@pytest.mark.parametrize(
    ("inputs", "hidden", "message"),
    [
        (5, (6, 5), r"no layer of it has the 5 inputs and 6 outputs of layer 0"),
        (4, (6, 7), r"no layer of it has the 6 inputs and 7 outputs of layer 1"),
    ],
)
def test_layers_that_do_not_follow_one_another_are_refused(inputs, hidden, message):
    layers = [Linear(str(2 * place), *shape) for place, shape in enumerate([(6, 4), (5, 6), (3, 5)])]
    with pytest.raises(ValueError, match=message):
        chain(layers, inputs, hidden)


def test_two_layers_of_one_number_are_refused(tmp_path):
    path = saved(tmp_path / "m.safetensors", tensors(["fc1.", "fc01."], (4, 4, 4)))
    with pytest.raises(CheckpointError, match=r"fc0?1 and fc0?1 are layers of the same number"):
        read_state_dict(path)


def test_layers_whose_numbers_contradict_their_shapes_are_refused():
    with pytest.raises(ValueError, match="no layer of it has the 4 inputs"):
        chain([Linear("fc1", 3, 6), Linear("fc2", 6, 4)], 4, (6,))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_precision_is_read(tmp_path, dtype):
    expected = tensors(["0.", "2.", "4."], dtype=dtype)
    found = read_state_dict(saved(tmp_path / "m.safetensors", expected))
    assert found.dtypes == dtype
    for name, array in expected.items():
        assert found.tensors[name].tobytes() == array.tobytes()
        assert found.tensors[name].shape == array.shape


def test_bfloat16_is_read_exactly(tmp_path):
    # 1, -2.5, 2^-133 (subnormal), and the largest: the upper halves of these float32.
    values = np.array([1, -2.5, 2.0**-133, 3.3895313892515355e38], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    header = (
        b'{"w.weight":{"dtype":"BF16","shape":[1,3],"data_offsets":[0,6]},'
        b'"w.bias":{"dtype":"BF16","shape":[1],"data_offsets":[6,8]}}'
    )
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + halves.tobytes())
    found = read_state_dict(tmp_path / "m.safetensors")
    assert found.dtypes == "bfloat16"
    assert found.tensors["w.weight"].tolist() == [values[:3].tolist()]
    assert found.tensors["w.bias"].tolist() == values[3:].tolist()


def test_the_digest_is_that_of_the_training_that_wrote_the_file(tmp_path):
    settings = {"model.hidden_layers": [3] * 6, "train.epochs": None, "train.steps": 1}  # Layers 0 to 12.
    summary = train(tmp_path / "run", settings)
    found = read_state_dict(tmp_path / "run/checkpoints/latest/model.safetensors")
    assert found.digest == summary["digest"]
    assert [layer.name for layer in found.layers] == [str(2 * place) for place in range(7)]


OTHERS = {
    "a convolution": {"conv.weight": np.zeros((3, 2, 5, 5)), "conv.bias": np.zeros(3)},
    "a layer without a bias": {"0.weight": np.zeros((3, 2))},
    "a normalization": {**tensors(["0."], (4, 3)), "1.weight": np.zeros(3), "1.bias": np.zeros(3)},
    "a counter": {**tensors(["0."], (4, 3)), "1.num_batches_tracked": np.zeros(1)},
    "a bias of another width": {"0.weight": np.zeros((3, 2)), "0.bias": np.zeros(2)},
    "no inputs": {"0.weight": np.zeros((3, 0)), "0.bias": np.zeros(3)},
    "a name that commands the terminal": tensors(["\x1b[2J."], (4, 3)),
}


@pytest.mark.parametrize("arrays", OTHERS.values(), ids=OTHERS)
def test_what_is_no_network_of_linear_layers_is_refused_with_names_and_shapes(tmp_path, arrays):
    path = saved(tmp_path / "m.safetensors", arrays)
    with pytest.raises(CheckpointError, match=r"each a weight \(outputs, inputs\) with a bias") as refusal:
        read_state_dict(path)
    assert all(f"{list(array.shape)}" in str(refusal.value) for array in arrays.values())
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [({}, "holds no tensor"), (tensors(["0."], (4, 3), np.int64), "holds numbers of type I64; expected float16, ")],
)
def test_a_file_without_numbers_of_a_network_is_refused(tmp_path, arrays, message):
    with pytest.raises(CheckpointError, match=message):
        read_state_dict(saved(tmp_path / "m.safetensors", arrays))


@pytest.mark.parametrize(
    ("name", "content"),
    [("m.pt", b"PK\x03\x04"), ("m.pth", b""), ("m.bin", b"x"), ("m.safetensors", b"\x80\x02}q"), ("m", b"PK" * 9)],
)
def test_a_pickle_is_refused_with_the_lines_that_save_it_otherwise(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"(?s)is a pickle .*dpnet does not.*\n    save_file\(model.state_dict\(\)"
    ):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"hello world " * 9])
def test_another_file_is_refused_with_the_lines_that_make_one(tmp_path, content):
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"(?s)is no safetensors file: .*\n    save_file\("):
        read_state_dict(tmp_path / "m.safetensors")


@pytest.mark.parametrize("length", [0x80, 0x280, 0x4B50])
def test_a_header_whose_length_looks_like_a_pickle_or_an_archive_is_none(tmp_path, length):
    arrays = tensors(["0."], (4, 3))
    content = saved(tmp_path / "m.safetensors", arrays).read_bytes()
    old = struct.unpack("<Q", content[:8])[0]
    header = content[8 : 8 + old].rstrip().ljust(length)
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + content[8 + old :])
    assert read_state_dict(tmp_path / "m.safetensors").tensors["0.bias"].tolist() == arrays["0.bias"].tolist()


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match="no regular file"):
        read_state_dict(tmp_path / "m.safetensors")
