"""Job files and --set with any text give a configuration or a ConfigError."""

from __future__ import annotations

import json
import os

import pytest
from helpers.fuzzing import WILD, examples, mutate, mutations, only_dpnet_errors
from hypothesis import given
from hypothesis import strategies as st

import dpnet
from dpnet.config.file import from_dict, load, template, to_dict, to_toml
from dpnet.config.job_file import MAX_BYTES
from dpnet.config.keys import KEYS, SECTIONS
from dpnet.errors import ConfigError


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("job") / "job.toml"


def check(path, content, overrides=()):
    path.write_bytes(content)
    with only_dpnet_errors(ConfigError):
        job = load(path, overrides)
        path.write_text(to_toml(job))
        assert load(path) == job


VALUES = st.sampled_from(
    ["1", "-1", "1e999", "nan", "-inf", "0x" + "f" * 5000, "9" * 4000, "9" * 5000, "1979-05-27", "07:32:00", "''", "{}"]
    + ["[" * depth + "]" * depth for depth in (1, 30, 200, 280, 320, 2000)]
    + ["{a=" * depth + "1" + "}" * depth for depth in (1, 200, 2000)]
    + ['"\\u0000"', '"""\n\n"""', "[[], {}, [1.5, true]]", "[" + "1," * 3000 + "]", "[" + "'a'," * 500 + "]", "'\x7f'"]
)
LINES = (
    st.tuples(st.sampled_from(sorted(KEYS)), VALUES).map(" = ".join)
    | st.sampled_from(sorted(SECTIONS)).flatmap(
        lambda name: st.sampled_from([f"[{name}]", f"[[{name}]]", f"[{name}.x]"])
    )
    | st.tuples(st.sampled_from(["seed", "x", "'a b'", '""', "a." * 300 + "b", "k" * 5000]), VALUES).map("=".join)
    | st.sampled_from(["#" * 5000, " " * 5000, "[" + " " * 5000, "a" + " " * 5000, '"""', "\ufeff", "\0", "\r"])
)


@examples(150)
@given(st.binary(max_size=100) | st.text(max_size=100).map(lambda text: text.encode(errors="replace")))
def test_any_bytes(path, content):
    check(path, content)


@examples(150)
@given(mutations)
def test_a_mutated_template(path, changes):
    check(path, mutate(template().encode(), changes))


@examples(250)
@given(st.lists(LINES, max_size=4))
def test_any_lines(path, lines):
    check(path, "\n".join(lines).encode())


ARGUMENTS = st.binary(max_size=12).map(os.fsdecode)
"""Arguments of a command line, which need not be text."""


@examples(250)
@given(st.lists(st.tuples(st.sampled_from(sorted(KEYS)) | ARGUMENTS, VALUES | ARGUMENTS).map("=".join), max_size=3))
def test_any_overrides(path, overrides):
    check(path, b"", overrides)


@examples(250)
@given(st.sampled_from(sorted(KEYS)) | st.text(max_size=6), WILD)
def test_any_plain_data(name, value):
    section, _, key = name.partition(".")
    for raw in ({section: {key: value}}, {section: value}):
        with only_dpnet_errors(ConfigError):
            job = from_dict(raw, where="here")
            assert from_dict(json.loads(json.dumps(to_dict(job))), where="here") == job


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "text",
    [
        "".join(f"k{number} = 1\n" for number in range(20_000)),
        '[data]\nsource = """\n' + " " * 200_000 + '\n"""',
        '[data]\nsource = """\na' + " " * 200_000 + 'b\n"""',
        '[data]\nsource = """\n[' + " " * 200_000 + 'b\n"""',
        "[model]\nhidden_layers = [" + "'', " * 50_000 + "]",
    ],
    ids=["keys", "spaces", "key", "header", "items"],
)
def test_a_long_file_takes_no_long_time(path, text):
    check(path, text.encode())


@pytest.mark.parametrize("file", ["job.toml", "/dev/zero"])
def test_an_endless_file_is_not_read_to_its_end(tmp_path, file):
    if file == "job.toml":
        file = tmp_path / file
        with open(file, "wb") as stream:
            stream.truncate(2**40)
    with pytest.raises(ConfigError, match=f"has more than {MAX_BYTES} bytes"):
        dpnet.load_job(str(file))
