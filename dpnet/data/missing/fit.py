"""Fits what stands for missing values to the training samples, and fills it in there and in all other samples."""

from __future__ import annotations

import dataclasses

import numpy as np

from dpnet.compute.arrays import Vector
from dpnet.data.missing.filled import TO_TRAIN, apply_fills, check_features, fill_splits
from dpnet.data.missing.fills import Fills, no_indicator, record_bytes
from dpnet.data.missing.means import Counts, count_missing, known_means
from dpnet.data.split import Split, splits_by_name
from dpnet.errors import DataError
from dpnet.text import counted, listed, words

MAX_RECORD = 1 << 21
"""Most bytes of the record in a checkpoint, whose manifest is read as a whole."""


def fill_in(
    missing: str, train: Split, validation: Split | None, test: Split | None, kept: Fills | None = None
) -> tuple[Split, Split | None, Split | None]:
    """Samples to train, validate and test with, with what stands for missing values.

    Args:
        missing: what that is, see `DataConfig`.
        train: the training samples, to which it is fitted.
        validation: others; they may be rows of the same inputs.
        test: likewise.
        kept: of a network that was trained before, whose inputs the features are to become; None: there is none.

    Raises:
        DataError: nothing is known of a feature, or a value is infinite, or other samples have other features; or they
            do not fit in memory.
    """
    others = {"validation": validation, "test": test}
    found = _fit(missing, train, kept)
    if found is None:
        for split in others.values():
            if split is not None:
                apply_fills(split, None)  # What was converted may be filled in.
        return train, validation, test
    fills, counts = found
    splits, seen = splits_by_name(train, validation, test), {"train": counts}
    for name, split in splits.items():
        if split.fills is None and name != "train":
            check_features(split, fills, f"{train.inputs_file} has")
            seen[name] = count_missing(split)
    done = fill_splits({name: splits[name] for name in seen}, fills, seen, TO_TRAIN)
    for name in splits.keys() - seen.keys():
        done[name] = apply_fills(splits[name], fills)
    remarks = (*train.remarks, *_remarks(missing, fills, seen))
    return dataclasses.replace(done["train"], remarks=remarks), done.get("validation"), done.get("test")


def _remarks(missing: str, fills: Fills, counts: dict[str, Counts]) -> list[str]:
    """A sentence on what is filled in, if anything is."""
    missed = {name: int(of_split.sum()) for name, of_split in counts.items()}
    if fills.values is None or not any(missed.values()):
        return []
    named = {"train": "training", "validation": "validation", "test": "test"}
    parts = [f"{count:,} {named[name]}" for name, count in missed.items() if count]
    where = np.count_nonzero(sum(counts.values()))
    total = sum(missed.values())
    said = f"{words(parts, 'and')} {'value is' if total == 1 else 'values are'} missing, in {where:,} of"
    key = f'data.missing = "{missing}"'
    return [f"{said} {counted(fills.features, 'feature')}, and filled in ({key}){fills.indicators_text()}"]


def _fit(missing: str, train: Split, kept: Fills | None) -> tuple[Fills, Counts] | None:
    """What stands for missing values, and how many of the training samples are missing; None: they are refused."""
    if kept is not None and kept.features != train.features:
        if kept.indicators:  # As many features as inputs would pass for these.
            check_features(train, kept, "the pretrained network (model.pretrained, --from) takes")
        return None  # That the network takes others is told where it is compared as a whole.
    if missing == "error":
        if kept is None or not kept.indicators:
            return None
        return Fills(kept.features, None, kept.indicators), np.zeros(train.features, np.int64)
    file, values = train.inputs_file, None if kept is None else kept.values
    if missing == "zero" or values is not None:
        counts = count_missing(train, refuse=True)
        values = np.zeros(1) if values is None else values
        if kept is None:
            _refuse_unknown(file, counts, len(train))
    else:
        counts, means = known_means(train)
        _refuse_unknown(file, counts, len(train))
        values = _rounded(means, train)
    gaps = tuple(np.flatnonzero(counts).tolist())
    indicators = gaps if missing == "indicator" else ()
    if kept is not None:
        if new := sorted({*indicators} - {*kept.indicators}):
            raise no_indicator(f"{file}, column {new[0]} (from 0)", keeps_some=bool(kept.indicators))
        indicators = kept.indicators
    fills = Fills(train.features, values, indicators, (int(counts.sum()), len(gaps)))
    if record_bytes(fills) > MAX_RECORD:
        raise DataError(
            f"{file}: what stands for missing values of {counted(train.features, 'feature')} takes more than "
            f'{MAX_RECORD >> 20} MiB, which checkpoints do not keep; expected data.missing = "zero", or fewer features.'
        )
    return fills, counts


def _refuse_unknown(file: str, counts: Counts, samples: int) -> None:
    unknown = np.flatnonzero(counts == samples)
    if len(unknown):
        more = f", and so it is with {len(unknown) - 1:,} others" if len(unknown) > 1 else ""
        raise DataError(
            f"{file}, column {unknown[0]} (from 0): every training value is missing{more}; leave such columns out: "
            f"numpy.delete(x, [{listed(map(str, unknown), 8)}], axis=1)."
        )


def _rounded(means: Vector, train: Split) -> Vector:
    """Means as numbers of the type of the inputs, so that the same stands for missing values in data of other types."""
    if not np.isfinite(means).all():
        column = int(np.argmin(np.isfinite(means)))
        raise DataError(
            f"{train.inputs_file}, column {column} (from 0): the sum of its values is beyond float64, so it has no "
            'mean; rescale the data, or set data.missing = "zero".'
        )
    return means.astype(train.inputs.dtype).astype(np.float64) if train.inputs.dtype.kind == "f" else means
