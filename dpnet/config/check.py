"""Checks what a user gave: unknown keys, types, limits, and keys that contradict one another.

All problems are reported at once, each with its place and with what to write instead. pydantic checks the types; it is
imported when the first value is checked, because only one rank of a job checks values.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpnet.config.job import Job
from dpnet.config.keys import KEYS, SECTIONS, Key, toml_value
from dpnet.config.model import METRICS, unfit_to_freeze
from dpnet.config.train import FIT_FOR_BFLOAT16
from dpnet.config.workers import of_workers
from dpnet.errors import ConfigError
from dpnet.text import shorten, words

if TYPE_CHECKING:
    from pydantic import TypeAdapter


MAX_PROBLEMS = 100
"""Most problems that one message lists; there are fewer keys than that."""


@dataclass(frozen=True)
class Given:
    """A value that a user gave, and where: a line of a file, or an option of the command line."""

    value: Any
    place: str


Place = Callable[[str], str]
"""Full name of a key, or name of a section -> where it was given."""


def flatten(raw: Mapping[str, Any], place: Place) -> dict[str, Given]:
    """The content of a job file by the full names of the keys.

    A top-level entry that is not a known section is kept whole, under its own name.
    """
    flat = {}
    for section, content in raw.items():
        if section in SECTIONS and isinstance(content, Mapping):
            names = {f"{section}.{_name(key)}": value for key, value in content.items()}
        else:
            names = {_name(section): content}
        flat.update({name: Given(value, place(name)) for name, value in names.items()})
    return flat


def _name(key: str) -> str:
    # Quoted as in TOML, a strange name cannot be taken for a full name.
    return key if re.fullmatch(r"[\w-]+", key) else toml_value(key)


def check(given: Mapping[str, Given]) -> Job:
    """Check the values that a user gave, and make the configuration of them.

    Args:
        given: values by full name, as `flatten` returns them; all other keys keep their defaults.

    Raises:
        ConfigError: something is wrong; the message lists every problem.
    """
    values: dict[str, Any] = {}
    problems = []
    for name, entry in given.items():
        try:
            values[name] = _check_value(name, entry)
        except ValueError as error:
            problems.append(str(error))
    problems += [*_rivals(given), *_without_effect(given, values), *_contradictions(given, values)]
    problems += _unfit_for_bfloat16(given, values)
    problems += of_workers(given, functools.partial(_value, given=given, values=values))
    if problems:
        raise ConfigError(_message(problems))
    return _job(values)


def _message(problems: list[str]) -> str:
    head = f"{len(problems)} errors in the configuration:\n  " if len(problems) > 1 else ""
    if len(problems) > MAX_PROBLEMS:
        problems = [*problems[:MAX_PROBLEMS], "... (only the first are shown)"]
    # An argument of the command line may hold bytes that no terminal can show.
    return (head + "\n  ".join(problems)).encode(errors="backslashreplace").decode()


def _job(values: Mapping[str, Any]) -> Job:
    contents: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, value in values.items():
        contents[KEYS[name].section][KEYS[name].name] = value
    sections: dict[str, Any] = {name: section(**contents[name]) for name, section in SECTIONS.items()}
    return Job(**sections)


def _check_value(name: str, given: Given) -> Any:
    """The value as its section keeps it; raises ValueError with the whole message."""
    if name not in KEYS:
        raise ValueError(_unknown(name, given))
    key, value = KEYS[name], given.value
    if isinstance(value, Mapping):
        value = {str(label).lower() if isinstance(label, bool) else str(label): one for label, one in value.items()}
    seen = f"{name} is {_shown(value)}; it must be"
    try:
        checked = _adapter(name).validate_python(tuple(value) if isinstance(value, list) else value)
    except ValueError:
        raise ValueError(f"{seen} {key.expected}{_advice(key, value)} ({given.place})") from None
    try:
        return checked if key.limits is None else key.limits.check(checked)
    except ValueError as limits:
        raise ValueError(f"{seen} {key.expected if isinstance(checked, tuple) else limits} ({given.place})") from None


@functools.cache
def _adapter(name: str) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(KEYS[name].kind, config=ConfigDict(strict=True, allow_inf_nan=False))


def _advice(key: Key, value: Any) -> str:
    if key.kind is int and isinstance(value, float) and value.is_integer():
        return f": write {int(value)}"
    return ""


def _shown(value: Any, depth: int = 0) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, int) and value.bit_length() > 999:
        return "a huge integer"
    if not isinstance(value, list | tuple):
        return shorten(toml_value(value))
    if depth > 3 and value:
        return "[...]"  # A file can nest deeper than Python can recurse.
    # Only as many items as the message has room for: formatting all of a long list takes long.
    return shorten(f"[{', '.join(_shown(item, depth + 1) for item in value[:60])}]")


def _unknown(name: str, given: Given) -> str:
    section, _, key = name.partition(".")
    if name in SECTIONS:
        return f"{name} is {_shown(given.value)}; it must be a section, [{name}] ({given.place})"
    if section not in SECTIONS and isinstance(given.value, Mapping):
        close = difflib.get_close_matches(name, SECTIONS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the sections are {words(list(SECTIONS), 'and')}"
        return f"unknown section {shorten(name)} ({given.place}); {hint}"
    if close := _meant(section, key) if key else _meant("", name):
        hint = f"did you mean {words(close, 'or')}?"
    elif names := [entry.name for entry in KEYS.values() if entry.section == section]:
        hint = f"the keys of {section} are {words(names, 'and')}"
    else:
        hint = f"every key belongs to a section: {words(list(SECTIONS), 'or')}"
    return f"unknown key {shorten(name)} ({given.place}); {hint}"


def _meant(section: str, name: str) -> list[str]:
    """Full names of the keys that a user may have meant by `name` in `section`."""
    siblings = [key.name for key in KEYS.values() if key.section == section]
    if close := difflib.get_close_matches(name, siblings, n=1, cutoff=0.7):
        return [f"{section}.{close[0]}"]
    # The same name in another section, if there is one, is the closest.
    close = difflib.get_close_matches(name, {key.name: None for key in KEYS.values()}, n=1, cutoff=0.7)
    return [key.full_name for key in KEYS.values() if key.name in close]


def _rivals(given: Mapping[str, Given]) -> Iterator[str]:
    for key in KEYS.values():
        rivals = [f"{key.section}.{name}" for name in key.rivals]
        both = [f"{name} ({given[name].place})" for name in rivals if name in given]
        if key.full_name == next(iter(rivals), None) and len(both) > 1:
            yield f"{words(both, 'and')} exclude one another; keep one of them"


def _value(name: str, given: Mapping[str, Given], values: Mapping[str, Any]) -> Any:
    """The value of a key, given or default; None if a wrong one was given."""
    return values.get(name) if name in given else KEYS[name].default


def _without_effect(given: Mapping[str, Given], values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        key = KEYS[name]
        chooser = key.chooser
        chosen = _value(chooser, given, values) if key.only_for else None
        # A file may spell out a default, as the template does: a default asks for nothing.
        if chosen is not None and chosen not in key.only_for and value != key.default:
            yield (
                f"{name} is {_shown(value)}, which has no effect with {chooser} = {toml_value(chosen)}; "
                f"it is for {words([toml_value(choice) for choice in key.only_for], 'and')} ({given[name].place})"
            )


def _unfit_for_bfloat16(given: Mapping[str, Given], values: Mapping[str, Any]) -> Iterator[str]:
    for name, fits in FIT_FOR_BFLOAT16.items() if values.get("train.wire") == "bfloat16" else ():
        value = _value(name, given, values)
        if value is not None and value not in fits:
            expected, place = words([toml_value(choice) for choice in fits], "or"), given["train.wire"].place
            yield f'{name} is {toml_value(value)}; with train.wire = "bfloat16" it must be {expected} ({place})'


def _contradictions(given: Mapping[str, Given], values: Mapping[str, Any]) -> Iterator[str]:
    def value(name: str) -> Any:
        return _value(name, given, values)

    # With another optimizer or schedule these keys have no effect: `_without_effect` reports that.
    if value("optimizer.name") == "sgd" and value("optimizer.nesterov") and value("optimizer.momentum") == 0:
        place = given["optimizer.nesterov"].place
        yield f"optimizer.nesterov is true; it needs an optimizer.momentum above 0 ({place})"
    if value("train.reproducible_shards") and value("train.reducer") in ("allreduce", "joint"):
        seen, place = toml_value(value("train.reducer")), given["train.reducer"].place
        yield f'train.reducer is {seen}; with train.reproducible_shards it must be "auto" or "shards" ({place})'
    if value("train.exchange") in ("factors", "recompute"):
        seen = f"train.exchange is {toml_value(value('train.exchange'))}; it needs"
        if value("train.reproducible_shards"):
            yield f"{seen} train.reproducible_shards = 0 ({given['train.exchange'].place})"
        if value("train.reducer") in ("allreduce", "shards"):
            yield f'{seen} train.reducer "auto" or "joint" ({given["train.exchange"].place})'
    task, metric = value("model.task"), given.get("evaluate.metric")
    if metric and task and value("evaluate.metric") and value("evaluate.metric") not in METRICS[task]:
        expected = words([toml_value(name) for name in METRICS[task]], "or")
        seen = f"evaluate.metric is {toml_value(metric.value)}, and model.task is {toml_value(task)}"
        yield f"{seen}; it must be {expected} ({metric.place})"
    for name, is_used, section, what in (
        ("evaluate.patience", bool(value("evaluate.patience")), "evaluate", "evaluations"),
        ("resilience.on_nonfinite", value("resilience.on_nonfinite") == "rollback", "checkpoint", "checkpoints"),
    ):
        off = next((key for key in given if key.startswith(f"{section}.every_") and value(key) == 0), None)
        if is_used and off:
            seen, place = toml_value(value(name)), given[off].place
            yield f"{name} is {seen}, which has no effect without {what}; {off} is 0 ({place})"
    freeze, hidden_layers = value("model.freeze"), value("model.hidden_layers")
    if freeze and hidden_layers is not None and (problem := unfit_to_freeze(freeze, hidden_layers)):
        yield f"model.freeze is {_shown(freeze)}; {problem} ({given['model.freeze'].place})"
    lowest, highest = value("schedule.min_learning_rate"), value("optimizer.learning_rate")
    if value("schedule.name") == "cosine" and lowest and highest and lowest > highest:
        place = given["schedule.min_learning_rate"].place
        yield f"schedule.min_learning_rate is {lowest}; it must be at most optimizer.learning_rate, {highest} ({place})"
