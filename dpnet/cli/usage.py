"""What is wrong with a command line, and what its author may have meant."""

from __future__ import annotations

import argparse
import difflib
import itertools
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from dpnet.text import complain

SET = re.compile(r"--set(=.*)?", re.DOTALL)
SETTING = re.compile(r"[a-z_]+\.[a-z_]+=.*", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """A parser that says how a mistyped command, an option of another program or a stray setting is written."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See argparse. Refuses a setting in the place of the job file."""
        found, rest = super().parse_known_args(args, namespace)
        job = getattr(found, "job", None) or ""
        if rest and not hasattr(found, "overrides") and any(SET.fullmatch(word) for word in rest):
            self.error("there is no option --set here: settings are of a training")
        for word in (job, *rest):
            if SETTING.fullmatch(word) and not os.path.exists(word):
                self.error(f"{word} needs a --set of its own in front: --set {word}")
        for word, following in itertools.pairwise([*(args or ()), ""]):
            if word in rest and word.startswith("--") and (advice := _as_setting(word, following)):
                self.error(f"there is no option {word.partition('=')[0]}; {advice}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        """See argparse. An unknown command is answered with the one that was probably meant."""
        unknown = re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if unknown:
            message = no_command(unknown[1], re.findall(r"[a-z]+", unknown[2]))
        super().error(message)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """See argparse."""
        if message:
            complain(message.rstrip("\n"))
        sys.exit(status)


def no_command(word: str, known: Sequence[str]) -> str:
    """That a word is no command, and which there are."""
    return f"there is no command '{word}'{did_you_mean(word, known)}; commands: {', '.join(known)}"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """` (did you mean 'train'?)` for the known word that is most like another; empty: none is."""
    close = difflib.get_close_matches(word, known, 1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _as_setting(option: str, following: str) -> str:
    """How a setting is written that someone took for an option; empty: there is no such setting."""
    from dpnet.config.keys import KEYS  # Not above: most command lines are right.

    name, _, value = option.removeprefix("--").partition("=")
    keys = [key for key in KEYS if key.partition(".")[2] == name.replace("-", "_")]
    value = value or following or "VALUE"
    return f"settings are given as --set: --set {' or --set '.join(f'{key}={value}' for key in keys)}" if keys else ""
