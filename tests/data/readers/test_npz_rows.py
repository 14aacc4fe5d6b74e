"""Arrays of .npz files that are read in parts for a conversion are those that are read whole."""

import io
import zipfile

import numpy as np
import pytest

from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.conversion.convert import convert
from dpnet.data import in_parts
from dpnet.data.in_parts import InParts, reading_in_parts
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError
from dpnet.training.prepare import identify, open_data

GROUP = LocalGroup()
X = np.random.default_rng(0).standard_normal((300, 4, 2)).astype(np.float32)
Y = np.arange(300) % 3
SAVES = [np.savez, np.savez_compressed]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(in_parts, "PART_BYTES", 700)


def identified(source, **keys):
    section = DataConfig(source=str(source), **keys)
    return identify(section, open_data(Job(data=section), GROUP), GROUP, measure=True).identity


def converted(source, folder, **keys):
    convert(Job(data=DataConfig(source=str(source), **keys)), str(folder), GROUP)
    return identified(folder, **keys)


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("keys", [{}, {"test": 0.3, "validation": 0.2}])
@pytest.mark.parametrize("dtype", ["?", "u1", ">i4", "f2", "<f4", ">f8"])
def test_what_is_converted_has_the_identity_of_the_whole(tmp_path, save, keys, dtype):
    x = (100 * np.abs(X)).astype(dtype)
    more = {} if keys else {"x_test": x[:50], "y_test": Y[:50], "w_train": Y + 1.5}
    save(tmp_path / "d.npz", x_train=x, y_train=Y, **more)
    with reading_in_parts():
        source = open_source(str(tmp_path / "d.npz"), DataConfig(**keys))
    assert all(isinstance(split.inputs, InParts) for split in source.splits.values())
    assert converted(tmp_path / "d.npz", tmp_path / "c", **keys) == identified(tmp_path / "d.npz", **keys)


def test_rows_are_reached_in_any_order(tmp_path):
    np.savez_compressed(tmp_path / "d.npz", x=X)
    with reading_in_parts():
        split = open_split(str(tmp_path / "d.npz"))
    for start, stop in ((250, 300), (0, 1), (40, 90), (0, 300), (299, 300)):
        assert (split.block(start, stop) == X.reshape(300, 8)[start:stop]).all()


def test_an_array_that_is_shorter_meanwhile_is_refused(tmp_path):
    np.savez(tmp_path / "d.npz", x=X)
    with reading_in_parts():
        split = open_split(str(tmp_path / "d.npz"))
    np.savez(tmp_path / "d.npz", x=X[:200])
    assert (split.block(0, 100) == X[:100].reshape(100, 8)).all()
    with pytest.raises(DataError, match=r"d\.npz \(x\) ends after 6400 bytes, but its header promises 9600;"):
        split.block(200, 300)


def test_a_training_reads_the_whole(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=Y)
    assert type(open_source(str(tmp_path / "d.npz")).train.inputs) is np.ndarray


@pytest.mark.parametrize("save", SAVES)
def test_an_array_stored_by_columns_is_read_whole(tmp_path, save):
    save(tmp_path / "d.npz", x_train=np.asfortranarray(X), y_train=Y)
    assert converted(tmp_path / "d.npz", tmp_path / "c") == identified(tmp_path / "d.npz")


def damaged(path, save, place):
    """A file of which a byte of the inputs, at a place from 0 to 1, is another; nothing else tells but the checksum."""
    save(path, x_train=X, y_train=Y)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("x_train.npy")
    content = bytearray(path.read_bytes())
    content[member.header_offset + 300 + int(place * (member.compress_size - 300))] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("place", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("keys", [{}, {"test": 0.3}])
def test_a_damaged_byte_is_noticed_before_there_is_a_manifest(tmp_path, save, place, keys):
    damaged(tmp_path / "d.npz", save, place)
    with pytest.raises(DataError, match="damaged"):
        open_source(str(tmp_path / "d.npz"))
    for _ in range(2):  # What the first start has written does not make the second one pass.
        with pytest.raises(DataError, match=r"d\.npz \(x_train\) is (truncated or )?damaged"):
            convert(Job(data=DataConfig(source=str(tmp_path / "d.npz"), **keys)), str(tmp_path / "c"), GROUP)
    assert not (tmp_path / "c/manifest.json").exists()


def test_what_a_header_promises_is_compared_before_anything_is_converted(tmp_path):
    stream = io.BytesIO()
    np.save(stream, X)
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x_train.npy", stream.getvalue()[:-4])
        stream = io.BytesIO()
        np.save(stream, Y)
        archive.writestr("y_train.npy", stream.getvalue())
    with pytest.raises(DataError, match=r"d\.npz \(x_train\) holds 9596 bytes of data, but its header promises 9600"):
        converted(tmp_path / "d.npz", tmp_path / "c")
    assert not (tmp_path / "c").exists()
