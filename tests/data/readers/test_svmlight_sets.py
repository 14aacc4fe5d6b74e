"""Svmlight text whose samples have several labels, as scikit-learn writes and reads it."""

import io

import numpy as np
import pytest

from dpnet.cli.main import run as dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.file import job_of, load
from dpnet.conversion.convert import convert
from dpnet.data.readers.svmlight import SvmFile
from dpnet.data.sources import open_source
from dpnet.errors import DataError
from dpnet.training.run import train

datasets = pytest.importorskip("sklearn.datasets")
GROUP = LocalGroup()
TRAIN = "1,7 1:0.5 3:2\n 2:1 # none\n7 qid:1 1:1\n3,1 3:1\n"


def write(path, text):
    path.write_text(text)
    return str(path)


def opened(path, **section):
    return open_source(path, DataConfig(**section), task="multilabel")


def test_labels_are_the_numbers_of_the_file_in_order(tmp_path):
    found = opened(write(tmp_path / "a.svm", TRAIN)).train
    assert found.classes.values.tolist() == [1, 3, 7]
    assert found.labels.tolist() == [
        [True, False, True],
        [False, False, False],
        [False, False, True],
        [True, True, False],
    ]
    assert found.inputs.tolist() == [[0.5, 0, 2], [0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert any("1 line of 4 with qid" in remark for remark in found.remarks)


def test_it_is_read_as_scikit_learn_reads_what_it_wrote(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4)).round(3), rng.random((30, 5)) < 0.3
    buffer = io.BytesIO()
    datasets.dump_svmlight_file(x, y.astype(int), buffer, multilabel=True)
    (tmp_path / "a.svm").write_bytes(buffer.getvalue())
    found = opened(str(tmp_path / "a.svm")).train
    np.testing.assert_array_equal(found.labels, y)
    _, sets = datasets.load_svmlight_file(str(tmp_path / "a.svm"), multilabel=True)
    assert [tuple(np.flatnonzero(row)) for row in found.labels] == sets
    assert found.classes.plain


def test_other_data_are_placed_by_label_and_may_lack_some(tmp_path):
    path, other = write(tmp_path / "a.svm", TRAIN), write(tmp_path / "t.svm", "7 1:1\n3,7 2:1\n 1:1\n")
    test = opened(path, test=other).test
    assert test.classes.values.tolist() == [1, 3, 7]
    assert test.labels.tolist() == [[False, False, True], [False, True, True], [False, False, False]]
    none = write(tmp_path / "n.svm", " 1:1\n 2:1\n")
    assert opened(path, test=none).test.labels.tolist() == [[False] * 3] * 2
    convert(job_of({"data.source": path, "data.test": none, "model.task": "multilabel"}), str(tmp_path / "c"), GROUP)
    kept = opened(str(tmp_path / "c"))
    assert kept.train.classes.values.tolist() == [1, 3, 7]
    assert kept.test.labels.tolist() == [[False] * 3] * 2


def test_a_label_that_training_never_saw_is_refused_by_line_or_left_out(tmp_path):
    path, other = write(tmp_path / "a.svm", TRAIN), write(tmp_path / "t.svm", "7 1:1\n3,9,11 2:1\n9 3:1\n")
    message = (
        r"t\.svm, line 2: the labels are 3, 9, 11, and the training data, .*a\.svm, has the labels 1, 3, 7\. 2 of 3 "
    )
    with pytest.raises(DataError, match=message + "samples have a label that it does not have: 9, 11"):
        opened(path, test=other)
    test = opened(path, test=other, unknown_labels="ignore").test
    assert test.labels.tolist() == [[False, False, True], [False, True, False], [False, False, False]]
    assert "labels that no training sample has are left out: 9, 11" in test.remarks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" 1:1\n 2:1\n", r"a\.svm has no sample with a label; expected labels such as 1,3,7"),
        ("1 1:1\n2,nan 2:1\n", r"a\.svm, line 2 has the labels .*nan.*; expected finite numbers"),
        ("1,cat 1:1\n", "line 1 is '1,cat 1:1': could not convert"),
        ("1,,2 1:1\n", "line 1 is '1,,2 1:1': could not convert"),
        ("1, 2 1:1\n", "line 1 is '1, 2 1:1'"),
    ],
)
def test_what_are_no_labels_is_refused_by_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        opened(write(tmp_path / "a.svm", text))


def test_a_network_is_trained_scored_and_predicts_with_these_labels(tmp_path, capsys):
    rows = "".join(f"{'2' if row % 3 else '2,5'} 1:{row % 7} 2:{row % 3}\n" for row in range(60))
    settings = {"model.task": "multilabel", "model.hidden_layers": [4], "train.epochs": 2, "train.threads": 1}
    settings |= {"data.source": write(tmp_path / "a.svm", rows), "data.test": 0.25, "output.progress": "none"}
    train(job_of({**settings, "output.dir": str(tmp_path / "run")}), GROUP)
    other, bare = write(tmp_path / "t.svm", "5 1:3\n2,8 2:1\n"), write(tmp_path / "b.svm", " 1:3\n 2:1\n")
    run = str(tmp_path / "run")
    assert dpnet(["evaluate", run, "--data", other]) == 1
    assert "--unknown-labels=ignore leaves out such labels" in " ".join(capsys.readouterr().err.split())
    assert dpnet(["evaluate", run, "--data", other, "--unknown-labels=ignore"]) == 0
    assert "labels that no training sample has are left out: 8" in capsys.readouterr().err
    files = []
    for source in (other, bare):
        assert dpnet(["predict", run, "--data", source, "--out", str(tmp_path / "p.csv")]) == 0
        files.append((tmp_path / "p.csv").read_text())
    assert files[0] == files[1]
    assert files[0].startswith("label_2,label_5,p_2,p_5\n")


@pytest.mark.parametrize(("text", "task"), [(TRAIN, "multilabel"), ("1 1:1\n7 2:1\n" * 9, "classification")])
def test_init_proposes_what_the_lines_list(tmp_path, monkeypatch, capsys, text, task):
    monkeypatch.chdir(tmp_path)
    assert dpnet(["init", "j.toml", "--data", write(tmp_path / "a.svm", text)]) == 0
    assert load("j.toml").model.task == task
    assert ("4 of them with 0 to 2 of 3 labels, " in capsys.readouterr().out) == (task == "multilabel")


def test_the_first_line_of_several_labels_tells_the_format(tmp_path):
    assert SvmFile().fits(write(tmp_path / "train.txt", "1,7 1:0.5 3:2\n"))
