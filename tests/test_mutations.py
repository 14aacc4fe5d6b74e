"""Every entry of mutations.toml still fits its file; whether tests notice it is told by `python tests/mutations.py`."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from mutations import ROOT, load

MUTATIONS = load()
FOLDERS = ("parallel", "state", "checkpoint", "resilience", "nn", "optim")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutation_is_another_program(mutation):
    text = (ROOT / mutation.file).read_text()
    assert ast.dump(ast.parse(mutation.applied(text))) != ast.dump(ast.parse(text))


@pytest.mark.parametrize("old", ["nowhere", "e"])
def test_one_that_fits_no_more_is_refused(old):
    (first, *_) = MUTATIONS
    with pytest.raises(ValueError, match="stale"):
        type(first)(first.file, old, "", ()).applied((ROOT / first.file).read_text())


def test_the_tests_that_should_notice_are_there():
    for test in {test for mutation in MUTATIONS for test in mutation.tests}:
        path, *names = test.split("::")
        assert (ROOT / path).exists(), test
        assert all(f"def {name.partition('[')[0]}(" in (ROOT / path).read_text() for name in names), test


def test_there_are_some_for_every_folder_and_none_twice():
    counts = Counter(Path(mutation.file).parts[1] for mutation in MUTATIONS)
    assert min(counts[folder] for folder in FOLDERS) >= 7, counts
    assert len({str(mutation) for mutation in MUTATIONS}) == len(MUTATIONS)
