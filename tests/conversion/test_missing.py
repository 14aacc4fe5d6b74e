"""Arrays with missing values are converted to what stands for them, some rows at a time, and look as they are."""

import importlib.util
import json

import numpy as np
import pytest

from dpnet.cli.main import run
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.conversion import work
from dpnet.conversion.convert import convert
from dpnet.data.converted.manifest import manifest_sum
from dpnet.data.missing import filled
from dpnet.data.missing.filled import FilledParts
from dpnet.data.sources import open_source
from dpnet.errors import DataError
from dpnet.training.prepare import identify, open_data

GROUP = LocalGroup()
NAN = np.nan
X = np.random.default_rng(0).standard_normal((600, 4))
X[np.random.default_rng(1).random(X.shape) < 0.05] = NAN
X[:, 2] = 1.5
Y = np.arange(600) % 3


@pytest.fixture
def source(tmp_path):
    """A folder of .npy files with test samples."""
    (tmp_path / "npy").mkdir()
    for name, rows in (("train", slice(None)), ("test", slice(40))):
        np.save(tmp_path / f"npy/x_{name}.npy", X[rows])
        np.save(tmp_path / f"npy/y_{name}.npy", Y[rows])
    return tmp_path / "npy"


def job_of(source, missing, **keys):
    return Job(data=DataConfig(source=str(source), missing=missing, **keys))


def identified(source, missing, **keys):
    job = job_of(source, missing, **keys)
    return identify(job.data, open_data(job, GROUP), GROUP, measure=True).identity


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("missing", ["mean", "zero", "indicator"])
@pytest.mark.parametrize("keys", [{}, {"validation": 0.2}])
def test_what_was_converted_are_the_data_as_they_are_filled_in(source, tmp_path, missing, keys):
    convert(job_of(source, missing, **keys), str(tmp_path / "c"), GROUP)
    inputs = np.load(tmp_path / "c/train-inputs.npy")
    expected = open_source(str(source), DataConfig(missing=missing, **keys)).train
    assert inputs.tobytes() == expected.block(0, len(expected)).tobytes()
    manifest = json.loads((tmp_path / "c/manifest.json").read_text())
    assert manifest["keys"] == {"missing": missing, **keys}
    assert manifest["fills"] == expected.fills.record()
    assert identified(tmp_path / "c", missing, **keys) == identified(source, missing, **keys)
    found = open_source(str(tmp_path / "c"), DataConfig())  # A job may leave the keys out.
    assert isinstance(found.train.inputs, np.memmap)
    assert sum("values are missing" in remark for remark in found.train.remarks) == 1


def test_rows_are_filled_in_as_they_are_read_and_no_inputs_in_memory(source, tmp_path, monkeypatch):
    largest = []
    put = filled.put_filled

    def watched(fills, rows, out):
        largest.append(len(rows))
        put(fills, rows, out)

    monkeypatch.setattr(filled, "put_filled", watched)
    monkeypatch.setattr("dpnet.data.in_parts.PART_BYTES", 1000)
    monkeypatch.setattr("dpnet.data.readers.guards.memory", lambda: 0)  # There is no room for a copy.
    convert(job_of(source, "indicator"), str(tmp_path / "c"), GROUP)
    assert 0 < max(largest) <= 1000 // (7 * 8)
    with pytest.raises(
        DataError, match=r"7 inputs, with missing values filled in, .*convert them first, which fills in"
    ):
        open_source(str(source), DataConfig(missing="indicator"))


def test_without_a_missing_value_a_mapped_file_is_converted_as_it_is(tmp_path, monkeypatch):
    np.savez(tmp_path / "d.npz", x_train=np.ones((8, 2)), y_train=Y[:8])
    monkeypatch.setattr(FilledParts, "read", None)
    convert(job_of(tmp_path / "d.npz", "indicator"), str(tmp_path / "c"), GROUP)
    assert open_source(str(tmp_path / "c")).features == 2


@pytest.mark.parametrize("count", [0, 100, 280])
def test_a_conversion_that_was_cut_off_goes_on_to_the_same_bytes(source, tmp_path, monkeypatch, count):
    convert(job_of(source, "mean"), str(tmp_path / "whole"), GROUP)
    done, convert_chunk = [], work.convert_chunk

    def faked(*arguments, **named):
        if len(done) >= count:
            raise KeyboardInterrupt
        done.append(arguments)
        return convert_chunk(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(work, "convert_chunk", faked)
        with pytest.raises(KeyboardInterrupt):
            convert(job_of(source, "mean"), str(tmp_path / "c"), GROUP)
    with pytest.raises(DataError, match=r'data\.missing = "mean", and here it is data\.missing = "zero"'):
        convert(job_of(source, "zero"), str(tmp_path / "c"), GROUP)
    assert convert(job_of(source, "mean"), str(tmp_path / "c"), GROUP).kept == count
    assert content(tmp_path / "c") == content(tmp_path / "whole")


def test_the_key_is_that_of_the_conversion(source, tmp_path):
    convert(job_of(source, "mean"), str(tmp_path / "c"), GROUP)
    with pytest.raises(
        DataError, match=r'data\.missing = "zero" is asked for, .* converted with data\.missing = "mean"'
    ):
        open_source(str(tmp_path / "c"), DataConfig(missing="zero"))
    np.savez(tmp_path / "w.npz", x_train=np.ones((8, 2)), y_train=Y[:8])
    convert(job_of(tmp_path / "w.npz", "error"), str(tmp_path / "w"), GROUP)
    with pytest.raises(DataError, match=r"is asked for, and .* was converted without that key"):
        open_source(str(tmp_path / "w"), DataConfig(missing="mean"))


def test_rows_that_are_held_out_later_may_not_have_entered_a_mean(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=Y)
    for missing in ("mean", "indicator", "zero"):
        convert(job_of(tmp_path / "d.npz", missing), str(tmp_path / missing), GROUP)
        if missing == "zero":
            assert len(open_source(str(tmp_path / missing), DataConfig(validation=0.2)).validation) == 120
            continue
        with pytest.raises(DataError, match=r"what stands for missing values \(data\.missing\) was found by all rows"):
            open_source(str(tmp_path / missing), DataConfig(validation=0.2))


def test_a_file_of_other_samples_is_filled_in_as_what_was_converted(source, tmp_path):
    np.savez(tmp_path / "v.npz", x=[[NAN, 1, 2, NAN]], y=[1])
    convert(job_of(source, "indicator"), str(tmp_path / "c"), GROUP)
    other = str(tmp_path / "v.npz")
    found = open_source(str(tmp_path / "c"), DataConfig(validation=other))
    expected = open_source(str(source), DataConfig(validation=other, missing="indicator"))
    assert found.validation.inputs.tolist() == expected.validation.inputs.tolist()
    assert not np.isnan(found.validation.inputs).any()
    if importlib.util.find_spec("sklearn") is not None:  # Its indices are those of the features, not of the inputs.
        (tmp_path / "v.svm").write_text("1 1:nan 2:1 3:2 4:nan\n")
        assert open_source(
            str(tmp_path / "c"), DataConfig(validation=str(tmp_path / "v.svm"))
        ).validation.inputs.tolist() == (found.validation.inputs.tolist())


def test_a_manifest_that_dpnet_did_not_write_so_is_refused(source, tmp_path):
    convert(job_of(source, "indicator"), str(tmp_path / "c"), GROUP)
    path = tmp_path / "c/manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["manifest_sha256"]
    for key, value in (("features", 5), ("values", ["x"] * 4), ("indicators", [9])):
        changed = {**manifest, "fills": {**manifest["fills"], key: value}}
        path.write_text(json.dumps({**changed, "manifest_sha256": manifest_sum(changed)}))
        with pytest.raises(DataError, match=r"manifest\.json is not as dpnet writes it \(.*missing values"):
            open_source(str(tmp_path / "c"))


@pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="h5py is not installed")
def test_a_compressed_file_is_filled_in_as_it_is_read(source, tmp_path):
    h5py = importlib.import_module("h5py")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        for name, rows in (("train", slice(None)), ("test", slice(40))):
            file.create_dataset(f"x_{name}", data=X[rows], chunks=(7, 2), compression="gzip")
            file[f"y_{name}"] = Y[rows]
    for name, path in (("a", source), ("b", tmp_path / "d.h5")):
        convert(job_of(path, "indicator"), str(tmp_path / name), GROUP)
    names = ("train-inputs.npy", "test-inputs.npy", "train-statistics.npy")
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_info_tells_what_is_missing_and_what_would_be_made_of_it(source, tmp_path, capfd):
    assert run(["data", "info", str(source)]) == 0
    out = capfd.readouterr().out
    gaps = np.isnan(X).sum(axis=0)
    lines = [line.split() for line in out.splitlines()]
    assert [line[-1] for line in lines if line[:2] in (["0", "number"], ["1", "number"])] == [
        str(gaps[0]),
        str(gaps[1]),
    ]
    assert 'data.missing = "mean"' in out.split("Guessed")[1]  # As dpnet init proposes it.
    assert "in 3 of 4 features, and filled in (data.missing" in out
    (tmp_path / "job.toml").write_text(f'[data]\nsource = "{source}"\nmissing = "indicator"\n')
    assert run(["data", "info", str(source), str(tmp_path / "job.toml"), "--json"]) == 0
    info = json.loads(capfd.readouterr().out)
    assert [column["missing"] for column in info["columns"]] == gaps.tolist()
    assert (info["inputs"], info["constant"]) == (7, ["2"])
    (tmp_path / "job.toml").write_text(f'[data]\nsource = "{source}"\n')
    assert run(["data", "info", str(source), str(tmp_path / "job.toml")]) == 0
    assert "inputs are NaN or infinite, which a training refuses; NaN is a missing value: data.missing = " in (
        capfd.readouterr().out.replace("\n", " ")
    )


def test_info_of_converted_data_names_the_indicators(source, tmp_path, capfd):
    convert(job_of(source, "indicator"), str(tmp_path / "c"), GROUP)
    assert run(["data", "info", str(tmp_path / "c"), "--json"]) == 0
    names = [column["name"] for column in json.loads(capfd.readouterr().out)["columns"]]
    assert names == ["0", "0 is missing", "1", "1 is missing", "2", "3", "3 is missing"]


def test_init_proposes_the_key_where_values_are_missing(source, tmp_path, capfd):
    for path, proposed in ((source, True), (tmp_path / "w.npz", False)):
        np.savez(tmp_path / "w.npz", x_train=np.ones((30, 2)), y_train=Y[:30])
        assert run(["init", str(tmp_path / f"{proposed}.toml"), "--data", str(path)]) == 0
        assert ('data.missing = "mean" puts the mean' in capfd.readouterr().out) == proposed
        assert ('\nmissing = "mean"' in (tmp_path / f"{proposed}.toml").read_text()) == proposed
    words = ["init", str(tmp_path / "given.toml"), "--data", str(source), "--set", "data.missing=zero"]
    assert run(words) == 0
    assert '\nmissing = "zero"' in (tmp_path / "given.toml").read_text()
