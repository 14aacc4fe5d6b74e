"""The section [data] of a job file; see `dpnet.config.job`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from dpnet.config.section import ClassWeights, Governs, OnlyFor, PathOrShare, Range, Section, Text, follows

MEMORY = "<memory>"
"""What data.source is where the data lie in memory, and a program gives them."""


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section, governs=Governs.RESULT):
    """What to train on."""

    source: Annotated[
        str,
        Governs.OPERATION,  # Where the data lie. What they are is compared by their content: `data.identity`.
        Text(),
        "digits: the small set that comes with dpnet. Else a path, relative to the current directory: a folder of IDX "
        "files, an .npz file (x_train, y_train, x_test, y_test), a folder of .npy files, an HDF5 file (.h5, .hdf5) of "
        "the same names or those of data.features and data.target, a file of svmlight or libsvm text, a table (.csv, "
        ".tsv, .parquet, .feather, or a folder of .parquet files), or a folder that dpnet data convert has written.",
    ] = "digits"
    test: Annotated[
        str | float | None,
        Governs.OPERATION,  # As with source.
        PathOrShare("a file of samples"),
        "The test data: a source of its own, a table if data.source is one; or the share of the samples that are held "
        "out as such, of each class alike. Which samples these are follows from the labels alone.",
    ] = follows("the test samples that the source has, if any", example=0.2)
    validation: Annotated[
        str | float | None,
        Governs.OPERATION,  # As with source.
        PathOrShare("a file of samples"),
        "Samples that are not trained on: their scores choose the best checkpoint and end the training where "
        "evaluate.patience says so. Test data choose nothing. An .npz or HDF5 file with x and y, an .npy "
        "or IDX file with its labels beside it, svmlight text, or a table if data.source is one; or the share of the "
        "training samples that is held out, of each class alike. Which samples these are follows from the labels and "
        "train.seed.",
    ] = follows("those of data.source, x_validation and y_validation, if it has any", example=0.1)
    split: Annotated[
        str | None,
        Text("not empty"),
        "Of a table: the column that says which rows are trained on, which validate and which test: train, validation "
        "and test (also training, val, valid, dev, testing). It is no input. Where it names no validation or no test "
        "rows, data.validation and data.test hold out shares of the others.",
    ] = follows("no such column", example="split")
    header: Annotated[
        bool | None,
        Governs.OPERATION,  # How the file is read. What comes of it is compared by its content.
        "Of a table that is text (.csv, .tsv): whether its first line holds the names of the columns. false: it is a "
        "sample, and the columns are called 0, 1, ...",
    ] = follows("false for a line of numbers, else true, and an error where that is not clear", example=False)
    target: Annotated[
        str | int | tuple[str | int, ...] | None,
        Text("not empty"),
        "Of a table: the column of the labels or targets, by name, or by place (0 the first, -1 the last). A list of "
        'these, or of patterns such as "tag_*": several labels or numbers for each row. Of an HDF5 file, with '
        "data.features: the data set of the labels, sim/labels for example. Other sources have labels of their own.",
    ] = follows("an error that lists the columns", example="species")
    id: Annotated[
        str | None,
        Text("not empty"),
        "Of a table: the column that names the rows. It is no input, and stands in the predictions.",
    ] = follows("no such column", example="id")
    weight: Annotated[
        str | None,
        Text("not empty"),
        "Of a table: the column that says how much each row counts in the loss and in the scores. It is no input. Of "
        "an HDF5 file, with data.features: the data set of the weights.",
    ] = follows("each counts as 1", example="weight")
    features: Annotated[
        tuple[str, ...],
        Text("not empty"),
        'Of a table: the columns that are inputs, names or patterns such as "pixel*". An empty list: all others. Of an '
        'HDF5 file: the one data set of the inputs, ["sim/images"] for example.',
    ] = ()
    ignore: Annotated[
        tuple[str, ...], Text("not empty"), "Of a table: the columns that are no inputs, names or patterns."
    ] = ()
    categorical: Annotated[
        tuple[str, ...],
        Text("not empty"),
        "Of a table: the inputs whose values are categories, names or patterns. Columns of text with up to 100 "
        "different texts (or frequent ones: data.min_frequency) are in any case, unless most of these are dates or "
        "numbers with units. If the target is named here (no pattern means it), its labels are text as it stands: 01 "
        "and 1 are two classes, and NA is one.",
    ] = ()
    min_frequency: Annotated[
        int,
        Range(1),
        "Of a table: the rows of the training data that a text needs to become a category, with an input of its own. "
        "Rarer texts of a column share one more input, unknown, which also stands for texts that the training data do "
        "not have. Where no text is rarer there is no such input, and those count as none.",
    ] = 1
    missing: Annotated[
        Literal["error", "mean", "zero", "indicator"],
        "What stands for a missing number, in arrays NaN. error: the training does not start. mean: the mean of what "
        "the training samples have in that column or feature. zero: 0. indicator: the mean, and another input that "
        "says where it is missing. A missing text of a table is of no category.",
    ] = "error"
    class_weights: Annotated[
        str | dict[str, float] | None,
        ClassWeights(),
        OnlyFor(("classification",), "model.task"),
        "How much the samples of each class count in loss and accuracy of the training; test samples all count alike. "
        "balanced: each class as much as any other, whatever the number of its samples. Classes that the table does "
        "not name weigh 1.",
    ] = follows("all 1", example="balanced")  # noqa: RUF009  # The default is None.
    scale: Annotated[
        Literal["none", "unit", "standardize"],
        "none: inputs as they are. unit: to 0..1. standardize: each feature to mean 0 and standard deviation 1. "
        "Measured on the training data alone.",
    ] = "standardize"
    check: Annotated[bool, Governs.OPERATION, "Check the inputs for NaN and infinity before training."] = True
    unknown_labels: Annotated[
        Literal["error", "ignore"],
        OnlyFor(("classification", "multilabel"), "model.task"),
        "Test and validation samples whose label no training sample has. error: the training does not start. ignore: "
        "they are left out of the scores; with multilabel, the label is.",
    ] = "error"
