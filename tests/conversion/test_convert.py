"""Conversions of data: complete or told not to be, resumable, the same bytes whatever happened on the way."""

import errno
import json
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest
from helpers.mpirun import run_ranks

from dpnet.cli.main import run
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.config.model import ModelConfig
from dpnet.conversion import meter, work
from dpnet.conversion.convert import convert
from dpnet.data import in_parts
from dpnet.data.converted import chunk, start, unfinished
from dpnet.data.readers import hdf5, hdf5_file
from dpnet.data.sources import open_source
from dpnet.errors import DataError, OutputError
from dpnet.output.lock import Lock
from dpnet.training.prepare import identify, open_data

GROUP = LocalGroup()
X = np.random.default_rng(0).standard_normal((600, 7)).astype(np.float32)
Y = np.arange(600) % 3 + 4


@pytest.fixture
def source(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=Y, x_test=X[:50] + 1, y_test=Y[:50])
    return tmp_path / "d.npz"


def job_of(source, task="classification", **keys):
    return Job(data=DataConfig(source=str(source), **keys), model=ModelConfig(task=task))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def identified(source, **keys):
    section = DataConfig(source=str(source), **keys)
    return identify(section, open_data(Job(data=section), GROUP), GROUP, measure=True)


def stop_after(monkeypatch, count, error=KeyboardInterrupt):
    """Let the conversion of every chunk after `count` raise an error."""
    done, convert_chunk = [], work.convert_chunk

    def faked(*arguments, **named):
        if len(done) >= count:
            raise error
        done.append(arguments[3])
        return convert_chunk(*arguments, **named)

    monkeypatch.setattr(work, "convert_chunk", faked)
    return done


def interrupt(monkeypatch, source, folder, count, **keys):
    """A conversion that is interrupted after so many chunks."""
    with monkeypatch.context() as patch:
        stop_after(patch, count)
        with pytest.raises(KeyboardInterrupt):
            convert(job_of(source, **keys), str(folder), GROUP)


def test_what_was_converted_are_the_same_data_in_files_of_numpy(source, tmp_path):
    done = convert(job_of(source), str(tmp_path / "c"), GROUP)
    assert (done.num_bytes, done.kept) == (X.nbytes + X[:50].nbytes, 0)
    assert np.load(tmp_path / "c/train-inputs.npy", mmap_mode="r").tobytes() == X.tobytes()
    assert np.load(tmp_path / "c/test-labels.npy").tolist() == (Y[:50] - 4).tolist()
    found = open_source(str(tmp_path / "c"))
    assert isinstance(found.train.inputs, np.memmap)
    assert found.train.classes.values.tolist() == [4, 5, 6]
    assert identified(tmp_path / "c").identity == identified(source).identity
    manifest = json.loads((tmp_path / "c/manifest.json").read_text())
    assert manifest["splits"]["train"]["counts"] == [200, 200, 200]
    statistics = np.load(tmp_path / "c/train-statistics.npy")
    wide = X.astype(float)
    expected = [wide.mean(axis=0), wide.std(axis=0), wide.min(axis=0), wide.max(axis=0)]
    np.testing.assert_allclose(statistics, expected, rtol=1e-12)


def test_a_long_conversion_shows_that_it_is_alive_where_no_bar_can_be(source, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(meter, "BETWEEN_S", 0.0)
    assert run(["data", "convert", str(source), str(tmp_path / "c")]) == 0
    assert re.search(r"^converting .*d\.npz: 50%, \d+ s left, \d+ MB/s$", capfd.readouterr().out, re.M)


@pytest.mark.parametrize("count", [0, 1, 100, 300])
def test_a_conversion_that_was_cut_off_goes_on_to_the_same_bytes(source, tmp_path, monkeypatch, count):
    convert(job_of(source), str(tmp_path / "whole"), GROUP)
    interrupt(monkeypatch, source, tmp_path / "c", count)
    assert not (tmp_path / "c/manifest.json").exists()
    with pytest.raises(DataError, match=r"/c has not come to its end: start the same `dpnet data convert` again"):
        open_source(str(tmp_path / "c"))
    written = stop_after(monkeypatch, 1000)
    assert convert(job_of(source), str(tmp_path / "c"), GROUP).kept == count
    assert len(written) == 256 + 50 - count
    assert content(tmp_path / "c") == content(tmp_path / "whole")


def test_a_chunk_that_is_not_what_was_listed_is_converted_again(source, tmp_path, monkeypatch):
    convert(job_of(source), str(tmp_path / "whole"), GROUP)
    interrupt(monkeypatch, source, tmp_path / "c", 200)
    part = tmp_path / "c/.unfinished-train-inputs.npy"
    data = bytearray(part.read_bytes())
    data[128:140] = bytes(12)  # Of the first row, from which all statistics count.
    data[5000] ^= 1
    part.write_bytes(data[:9000])  # As after a crash of the machine: the rest is gone.
    with (tmp_path / "c/.unfinished-sums-0").open("a") as stream:
        stream.write("\ntrain 999 abc\ntrain 1 ")
    assert 50 < convert(job_of(source), str(tmp_path / "c"), GROUP).kept < 199
    assert content(tmp_path / "c") == content(tmp_path / "whole")


def test_a_conversion_whose_end_was_cut_off_comes_to_it(source, tmp_path, monkeypatch):
    convert(job_of(source), str(tmp_path / "whole"), GROUP)

    def fail(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(unfinished, "write_synced", fail)
        with pytest.raises(OutputError, match=r"cannot write .*/c: Input/output error\. What was converted so far"):
            convert(job_of(source), str(tmp_path / "c"), GROUP)
    assert (tmp_path / "c/train-inputs.npy").exists()
    with pytest.raises(DataError, match="has not come to its end"):
        open_source(str(tmp_path / "c"))
    assert convert(job_of(source), str(tmp_path / "c"), GROUP).kept == 306
    assert content(tmp_path / "c") == content(tmp_path / "whole")


def test_what_is_complete_is_left_as_it_is(source, tmp_path, capfd):
    arguments = ["data", "convert", str(source), str(tmp_path / "c")]
    assert run(arguments) == 0
    before = content(tmp_path / "c")
    assert run(arguments) == 0
    assert "they had been converted before, nothing is left to do" in capfd.readouterr().out
    assert content(tmp_path / "c") == before
    (tmp_path / "c/test-inputs.npy").unlink()
    assert run(arguments) == 1
    assert "test-inputs.npy is missing" in capfd.readouterr().err


def test_what_could_not_be_read_again_is_refused_before_it_is_written(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=np.array(["a", "\ud800"])[Y % 2])
    with pytest.raises(DataError, match="not as dpnet writes it"):
        convert(job_of(tmp_path / "d.npz"), str(tmp_path / "c"), GROUP)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(("name", "code", "told"), [("SIGUSR1", 75, "SIGUSR1 came"), ("SIGINT", 130, "Ctrl-C")])
def test_a_signal_ends_a_conversion_that_goes_on_later(source, tmp_path, monkeypatch, capfd, name, code, told):
    done, convert_chunk = [], work.convert_chunk

    def signalled(*arguments, **named):
        done.append(arguments[3])
        if len(done) == 30:
            os.kill(os.getpid(), getattr(signal, name))
        time.sleep(0.01 if len(done) >= 30 else 0)  # A thread takes the signal.
        return convert_chunk(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(work, "convert_chunk", signalled)
        assert run(["data", "convert", str(source), str(tmp_path / "c")]) == code
    said = capfd.readouterr().err
    assert f"{told}: {tmp_path}/c is not complete; the same command, started again, goes on with it" in said
    assert name != "SIGINT" or "stopping after this piece; a second signal ends at once" in said
    assert 30 <= len(done) < 200
    assert convert(job_of(source), str(tmp_path / "c"), GROUP).kept == len(done)


@pytest.mark.parametrize("whole", [True, False])
def test_other_data_or_other_keys_are_refused_and_nothing_is_changed(source, tmp_path, monkeypatch, whole):
    if whole:
        convert(job_of(source), str(tmp_path / "c"), GROUP)
    else:
        interrupt(monkeypatch, source, tmp_path / "c", 9)
    before = content(tmp_path / "c")
    for job, message in (
        (
            job_of(source, validation=0.2),
            r"with no keys of \[data\], and here it is data\.validation = 0\.2; name ",
        ),
        (
            job_of(source, task="regression"),
            'with model.task = "classification", and here it is model.task = "regr',
        ),
        (job_of("digits"), "from a source that is not this one: it was made of 1 file, .*d.npz among them"),
    ):
        with pytest.raises(DataError, match=message):
            convert(job, str(tmp_path / "c"), GROUP)
    os.utime(source, ns=(1, 1))
    with pytest.raises(DataError, match=r"not this one: .*/d\.npz was written again meanwhile; name another fold"):
        convert(job_of(source), str(tmp_path / "c"), GROUP)
    np.savez(source, x_train=X[:9], y_train=Y[:9])
    with pytest.raises(DataError, match=r"not this one: .*/d\.npz has changed: [\d,]+ bytes then, [\d,]+ bytes now"):
        convert(job_of(source), str(tmp_path / "c"), GROUP)
    assert content(tmp_path / "c") == before


def test_other_labels_in_a_file_that_seems_the_same_are_refused(source, tmp_path, monkeypatch):
    interrupt(monkeypatch, source, tmp_path / "c", 9)
    before = os.stat(source)
    np.savez(source, x_train=X, y_train=Y[::-1], x_test=X[:50] + 1, y_test=Y[:50])
    os.utime(source, ns=(before.st_mtime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match=r"not this one: .*/d\.npz was written again meanwhile"):
        convert(job_of(source), str(tmp_path / "c"), GROUP)
    monkeypatch.setattr(start, "origin_changes", lambda *_: [])
    with pytest.raises(DataError, match="the beginning of a conversion from other rows or labels than the source"):
        convert(job_of(source), str(tmp_path / "c"), GROUP)


def test_a_conversion_that_cannot_be_read_is_refused(source, tmp_path, monkeypatch):
    interrupt(monkeypatch, source, tmp_path / "c", 9)
    path = tmp_path / "c/conversion.json"
    whole = path.read_text()
    for damaged in (whole[:99], whole.replace("classification", "classifikation"), "null", "[" * 9999):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"conversion\.json .*remove the folder and convert the data again"):
            convert(job_of(source), str(tmp_path / "c"), GROUP)


def test_a_source_that_changes_meanwhile_makes_no_data(source, tmp_path, monkeypatch):
    convert_chunk = work.convert_chunk

    def touched(*arguments, **named):
        os.utime(source, ns=(7, 7))
        return convert_chunk(*arguments, **named)

    monkeypatch.setattr(work, "convert_chunk", touched)
    with pytest.raises(DataError, match=r"The source changed while it was converted: .* was written again meanwhile"):
        convert(job_of(source), str(tmp_path / "c"), GROUP)
    assert not (tmp_path / "c/manifest.json").exists()


def test_a_full_disk_is_told_and_the_conversion_goes_on_later(source, tmp_path, monkeypatch):
    pwrite, calls = os.pwrite, []

    def full(*arguments):
        calls.append(1)
        if len(calls) > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OutputError, match=r"/c: No space left on device\. What was converted so far stays: start"):
            convert(job_of(source), str(tmp_path / "c"), GROUP)
    assert convert(job_of(source), str(tmp_path / "c"), GROUP).kept > 10


def test_a_disk_that_is_too_small_is_told_at_once(source, tmp_path, monkeypatch):
    free = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((*free[:4], 1, *free[5:])))
    with pytest.raises(OutputError, match=r"cannot write .*/c: 0\.0 MB are needed, and its disk has 0\.0 MB left"):
        convert(job_of(source), str(tmp_path / "c"), GROUP)
    assert not (tmp_path / "c").exists()


def test_a_source_may_be_named_in_another_way(source, tmp_path, monkeypatch):
    np.savez(source, x_train=X, y_train=Y, w_train=Y / 2)
    monkeypatch.chdir(tmp_path)
    interrupt(monkeypatch, "d.npz", tmp_path / "c", 9)
    assert convert(job_of("./d.npz"), str(tmp_path / "c"), GROUP).kept == 9
    assert not convert(job_of(source), str(tmp_path / "c"), GROUP).splits


def test_files_of_others_do_not_make_converted_data_of_a_folder(tmp_path):
    np.save(tmp_path / "x_train.npy", X)
    np.save(tmp_path / "y_train.npy", Y)
    np.save(tmp_path / "test-inputs.npy", X)
    for name in ("conversion.json", "manifest.json"):
        (tmp_path / name).write_text("{}")
    assert len(open_source(str(tmp_path)).train) == 600


def test_a_folder_or_file_of_others_is_refused(source, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").touch()
    with pytest.raises(DataError, match=r"/mine holds other files, notes\.txt; name a folder that is not there yet\."):
        convert(job_of(source), str(tmp_path / "mine"), GROUP)
    with pytest.raises(DataError, match=r"/d\.npz is a file; name a folder"):
        convert(job_of(source), str(source), GROUP)
    with pytest.raises(OutputError, match=r"cannot write .*/c: No such file|cannot write .*/c: Not a directory"):
        convert(job_of(source), f"{source}/c", GROUP)
    with pytest.raises(OutputError, match=r"cannot write .*: File name too long"):
        convert(job_of(source), str(tmp_path / ("x" * 300)), GROUP)
    (tmp_path / "empty").mkdir()
    assert convert(job_of(source), str(tmp_path / "empty"), GROUP).kept == 0


def test_two_conversions_into_one_folder_are_told(source, tmp_path, monkeypatch):
    stop_after(monkeypatch, 0, error=ZeroDivisionError)
    lock = Lock(tmp_path / "c")
    assert lock.take(wait_s=0)
    lock.sign("")
    with pytest.raises(OutputError, match=rf"/c: a conversion into it is under way \({os.getpid()} on"):
        convert(job_of(source), str(tmp_path / "c"), GROUP)
    lock.release()
    with pytest.raises(ZeroDivisionError):
        convert(job_of(source), str(tmp_path / "c"), GROUP)


def test_an_input_that_is_not_finite_is_refused_by_its_place(tmp_path, monkeypatch):
    x = X.copy()
    x[77, 3] = np.nan
    np.savez(tmp_path / "d.npz", x_train=x, y_train=Y)
    with pytest.raises(DataError, match=r"row 77, column 3 \(both from 0\): the value is nan"):
        convert(job_of(tmp_path / "d.npz"), str(tmp_path / "c"), GROUP)
    convert(job_of(tmp_path / "d.npz", check=False), str(tmp_path / "d"), GROUP)
    interrupt(monkeypatch, tmp_path / "d.npz", tmp_path / "e", 100, check=False)
    with pytest.raises(DataError, match=r"row 77, column 3 \(both from 0\): the value is nan"):
        convert(job_of(tmp_path / "d.npz"), str(tmp_path / "e"), GROUP)
    assert np.isnan(np.load(tmp_path / "d/train-inputs.npy")[77, 3])


def test_converted_data_can_be_converted_again(source, tmp_path):
    convert(job_of(source), str(tmp_path / "one"), GROUP)
    convert(job_of(tmp_path / "one"), str(tmp_path / "two"), GROUP)
    assert identified(tmp_path / "two").identity == identified(source).identity


@pytest.fixture(scope="module")
def chunked(tmp_path_factory):
    """An HDF5 file whose data sets are compressed in chunks; the inputs are pictures."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path_factory.mktemp("hdf5") / "d.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x_train", data=X.reshape(600, 7, 1), chunks=(13, 3, 1), compression="gzip")
        file.create_dataset("y_train", data=Y, chunks=(50,))
    return path


@pytest.mark.parametrize("keys", [{}, {"test": 0.3, "validation": 0.1}])
@pytest.mark.parametrize("part_bytes", [1, 2000, 1 << 20])
def test_compressed_data_are_converted_without_being_held_in_memory(chunked, tmp_path, monkeypatch, keys, part_bytes):
    monkeypatch.setattr(in_parts, "PART_BYTES", part_bytes)
    monkeypatch.setattr(hdf5_file, "READ_BYTES", 1000)
    expected = identified(chunked, **keys)
    read = []
    monkeypatch.setattr(
        hdf5, "read_arrays", lambda path, names: read.extend(names) or hdf5_file.read_arrays(path, names)
    )
    convert(job_of(chunked, **keys), str(tmp_path / "c"), GROUP)
    assert read == ["y_train"]
    assert identified(tmp_path / "c", **keys).identity == expected.identity


@pytest.mark.parametrize("dtype", [">f4", ">i2", "u1"])
def test_compressed_data_stay_in_their_byte_order(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(in_parts, "PART_BYTES", 100)
    with pytest.importorskip("h5py").File(tmp_path / "d.h5", "w") as file:
        file.create_dataset("x_train", data=np.abs(9 * X), dtype=dtype, chunks=(13, 3), compression="gzip")
        file["y_train"] = Y
    convert(job_of(tmp_path / "d.h5"), str(tmp_path / "c"), GROUP)
    assert identified(tmp_path / "c").identity == identified(tmp_path / "d.h5").identity


def test_a_damaged_chunk_ends_the_conversion_with_an_error(chunked, tmp_path):
    data = bytearray(chunked.read_bytes())
    for place in range(len(data) // 4, 3 * len(data) // 4, 7):
        data[place] ^= 255
    (tmp_path / "d.h5").write_bytes(data)
    with pytest.raises(DataError, match=r"d\.h5"):
        convert(job_of(tmp_path / "d.h5"), str(tmp_path / "c"), GROUP)
    assert not (tmp_path / "c/manifest.json").exists()


PROGRAM = """
import os, signal, sys
from dpnet.cli.main import run
from dpnet.conversion import work
_, source, dest, kill = sys.argv
convert_chunk = work.convert_chunk
def faked(unfinished, name, split, number, **named):
    if kill == "kill" and number == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return convert_chunk(unfinished, name, split, number, **named)
work.convert_chunk = faked
sys.exit(run(["data", "convert", source, dest]))
"""


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["source", "chunked"])
def test_ranks_share_the_work_also_after_one_was_killed(request, kind, tmp_path):
    source = request.getfixturevalue(kind)
    convert(job_of(source), str(tmp_path / "whole"), GROUP)
    (tmp_path / "program.py").write_text(PROGRAM)
    arguments = [str(tmp_path / "program.py"), str(source), str(tmp_path / "c")]
    assert run_ranks(3, [*arguments, "kill"]).code not in (0, None)
    assert not (tmp_path / "c/manifest.json").exists()
    shutil.copytree(tmp_path / "c", tmp_path / "two")
    for ranks, name in ((3, "c"), (2, "two")):
        result = run_ranks(ranks, [*arguments[:2], str(tmp_path / name), "live"])
        assert result.code == 0, result
        assert "chunks had been converted before" in result.output
        assert content(tmp_path / name) == content(tmp_path / "whole")


def test_a_chunk_is_measured_as_the_whole_is(source):
    train = open_source(str(source)).train
    parts = [chunk._pass(train, number, check=True, writer=None) for number in range(256)]
    whole = chunk.together(parts)
    assert whole.moments.total.tobytes() == identified(source).moments["train"].total.tobytes()


def test_what_is_left_of_a_conversion_that_nothing_is_known_of_is_no_part_of_another(source, tmp_path, monkeypatch):
    interrupt(monkeypatch, source, tmp_path / "c", 200)
    (tmp_path / "c/conversion.json").unlink()
    np.savez(source, x_train=X, y_train=Y, x_test=X[:50] + 2, y_test=Y[:50])
    assert convert(job_of(source), str(tmp_path / "c"), GROUP).kept == 0
    convert(job_of(source), str(tmp_path / "whole"), GROUP)
    assert content(tmp_path / "c") == content(tmp_path / "whole")
