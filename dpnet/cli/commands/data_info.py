"""`dpnet data info`: what data hold, and what dpnet would do with them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any

from dpnet.cli.commands.init import settings_given
from dpnet.cli.data_info import info_text
from dpnet.cli.parser import overrides
from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.comm.local import LocalGroup
from dpnet.config.file import load
from dpnet.config.job import Job
from dpnet.config.keys import setting
from dpnet.conversion.facts import Info
from dpnet.conversion.info import info_of, info_of_columns
from dpnet.data.proposal.propose import propose
from dpnet.data.tables.files import is_table
from dpnet.errors import DataError
from dpnet.output.screen import opened
from dpnet.training.announce import say


def run(arguments: argparse.Namespace, group: World) -> int:
    """Look at the data, and print what was found."""

    def work() -> Info:
        with opened("plain" if arguments.json else "auto"):
            return _look(arguments)

    info = on_root(group, work)
    say(group, json.dumps(info.record()) if arguments.json else info_text(info))
    return 0


def _look(arguments: argparse.Namespace) -> Info:
    source = arguments.source
    given = {**settings_given(overrides(arguments)), "data.source": source}
    if arguments.job is not None:
        return info_of(_job(arguments, given), {}, LocalGroup())
    try:
        settings = propose(source, given).settings
    except DataError as error:
        if not is_table(os.path.expanduser(source)):
            raise
        return info_of_columns(_job(arguments, given), str(error))
    # What is held out to validate with says nothing new of the data.
    guessed = {key: value for key, value in settings.items() if key not in {*given, "data.validation"}}
    return info_of(_job(arguments, {**given, **guessed}), guessed, LocalGroup())


def _job(arguments: argparse.Namespace, settings: Mapping[str, Any]) -> Job:
    return load(arguments.job, [setting(key, value) for key, value in settings.items()])
