"""What a training begins with, if not with initial parameters: a checkpoint, or a file of parameters (fine-tuning).

Rank 0 opens it before the data, because the columns of a table become what they became there. A run remembers what it
began with, by its digest: the same command goes on with it, even if the path leads to nothing by then; another
beginning is another run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.contents import Contents, contents_of
from dpnet.checkpoint.folder import pick, resolve
from dpnet.checkpoint.manifest import read_manifest
from dpnet.checkpoint.pointers import pointed
from dpnet.checkpoint.state_dict import StateDict, read_state_dict
from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.config.directory import existing, first_choice
from dpnet.config.job import Job
from dpnet.config.keys import KEYS
from dpnet.config.section import Text
from dpnet.data.missing.fills import Fills, fills_of_schema, recorded_fills
from dpnet.data.scaling import Scaling
from dpnet.data.tables.schema import Schema, recorded_schema
from dpnet.errors import CheckpointError, ConfigError
from dpnet.files import same_path, where_from
from dpnet.output.run_directory import holds
from dpnet.text import shorten
from dpnet.training.known import Known, known_of, known_run, recorded_pretrained


@dataclass(frozen=True)
class Pretrained:
    """What a training begins with.

    Attributes:
        record: what its checkpoints keep of that: `path` as the user gave it, `digest` of the parameters, and
            `scaling`, the sha256 of the scaling of inputs and targets; empty: it brings none.
        words: it, for messages.
        schema: what the columns of a table became there; None: they are not known.
        content: on rank 0, what was read; None elsewhere, and if it cannot be read.
        folder: of the checkpoint; None: it is a file.
        fills: what stood there for missing values of arrays, or that nothing did; None: that is not known.
        missing: why it cannot be read, though a run began with it; empty: it can.
    """

    record: dict[str, Any]
    words: str
    schema: Schema | None = None
    content: Contents | StateDict | None = None
    folder: Path | None = None
    fills: Fills | None = None
    missing: str = ""


def find_pretrained(job: Job, group: Group, resume: str) -> Pretrained | None:
    """What the job begins with, read by rank 0; None: initial parameters. Collective.

    Args:
        job: the configuration.
        group: all ranks.
        resume: see `run.train`.

    Raises:
        CheckpointError: it is missing or damaged, or is nothing to begin with; and no run began with it.
        ConfigError: it is in the run directory.
    """
    path, read = job.model.pretrained, list[Contents | StateDict | None]()

    def find() -> Pretrained | None:
        if resume not in ("auto", "never"):
            run = known_of(Path(resume), read_manifest(resolve(Path(resume)) / "manifest.json"))
            if (kept := _remembered(run, path)) is not None:
                return kept  # What is asked for is the run, as it began.
        if path is None:
            return None
        try:
            found = _open(path)
        except CheckpointError as error:
            message = f"model.pretrained (--from): {error}"
            runs = () if resume == "never" else map(known_run, existing(first_choice(job)))
            for kept in (_remembered(run, path) for run in runs if run is not None):
                if kept is not None:
                    return dataclasses.replace(kept, missing=message)
            raise CheckpointError(message) from error
        if found.folder is not None and job.output.dir is not None and holds(Path(job.output.dir), found.folder):
            raise ConfigError(
                f"{path} (model.pretrained, --from) is in the run directory of this job, {job.output.dir}: a run does "
                "not begin with itself; name another directory with --output DIR"
            )
        read.append(found.content)
        return dataclasses.replace(found, content=None)

    found = on_root(group, find)
    return dataclasses.replace(found, content=read[0]) if found is not None and read else found


def with_pretrained(job: Job, path: str | os.PathLike[str] | None) -> Job:
    """The job, but beginning with what is at a path; None: as it is.

    Raises:
        ConfigError: it is no path.
    """
    if path is None:
        return job
    key = KEYS["model.pretrained"]
    try:
        if not isinstance(given := os.fspath(path), str):
            raise TypeError(given)
        Text().check(given)
    except (TypeError, ValueError):
        raise ConfigError(f"{key.full_name} is {shorten(ascii(path))}; it must be {key.expected}") from None
    return dataclasses.replace(job, model=dataclasses.replace(job.model, pretrained=given))


def _open(path: str) -> Pretrained:
    place = pointed(Path(os.path.expanduser(path)))
    try:
        is_file = not place.is_dir()
        if is_file and not place.exists():
            raise CheckpointError(f"{path} does not exist. {where_from(path)}".rstrip())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path!a:.80}: {error}") from error
    if is_file:
        parameters = read_state_dict(place)
        return Pretrained(_record(path, parameters.digest), f"the file {path}", content=parameters)
    picked = pick(place)
    found = checkpoint.read(picked.path)
    content = contents_of(found)
    which = f"the {picked.which} checkpoint of {path}" if picked.which else f"the checkpoint {path}"
    record = _record(path, checkpoint.digest(found.model), content.scaling)
    fills = content.fills or Fills(content.layout.sizes[0], None)
    return Pretrained(record, f"{which}, step {found.step:,}", content.schema, content, picked.path, fills)


def _record(path: str, digest: str, scaling: Scaling | None = None) -> dict[str, Any]:
    total = hashlib.sha256()
    for name, tensor in sorted(({} if scaling is None else scaling.to_tensors()).items()):
        total.update(name.encode() + tensor.astype("<f8").tobytes())
    return {"path": path, "digest": digest, "scaling": "" if scaling is None else total.hexdigest()}


def _remembered(run: Known, path: str | None) -> Pretrained | None:
    """What a run records of what it began with; None: nothing, or that is not what `path` means, if there is one."""
    record, data = recorded_pretrained({"pretrained": run.pretrained}), run.data
    if record is None or data is None or (path is not None and not same_path(record["path"], path)):
        return None
    features, schema, fills = data.get("features"), None, None
    with contextlib.suppress(ValueError):  # Then the data will differ, too.
        if isinstance(features, int):
            schema, fills = recorded_schema(data.get("schema"), features), recorded_fills(data.get("fills"), features)
    return Pretrained(record, record["path"], schema, fills=fills or fills_of_schema(schema))
