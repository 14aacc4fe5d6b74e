"""A file of predictions can be read back, whatever the samples and the classes are called."""

import csv

import numpy as np

from dpnet.data.classes import Classes
from dpnet.inference.answers import ClassAnswers
from dpnet.inference.prediction_file import PredictionFile

STRANGE = ["a\rb", "c\nd", "e\r\nf", 'g"h', "i,j", " k ", "l"]


def test_a_csv_file_keeps_names_and_labels_with_line_breaks_commas_and_quotes(tmp_path):
    path, rows = tmp_path / "p.csv", len(STRANGE)
    answers = ClassAnswers(Classes(np.array(sorted(STRANGE))))
    outputs = np.eye(rows, dtype=np.float32)[[sorted(STRANGE).index(text) for text in STRANGE]]
    file = PredictionFile(path, rows, answers, np.dtype(np.float32), "n\ra", np.array(STRANGE))
    file.open()
    file.append(outputs, np.arange(rows))
    file.close()
    assert b'"a\rb","a\rb",0,1' in path.read_bytes()
    assert path.read_bytes().endswith(b",1\n")
    with path.open(newline="") as stream:
        header, *lines = csv.reader(stream)
    assert header == ["n\ra", "label", *(f"p_{text}" for text in sorted(STRANGE))]
    assert [line[:2] for line in lines] == [[text, text] for text in STRANGE]
