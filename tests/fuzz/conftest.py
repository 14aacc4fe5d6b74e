from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.fuzzing import only_dpnet_errors
from helpers.jobs import make_job, save_data

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.contents import Contents, contents_of
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.resume import job_of, numerics_notes
from dpnet.checkpoint.state_dict import StateDict
from dpnet.checkpoint.tensors import state_vectors
from dpnet.cli.tables import checkpoint_table
from dpnet.comm.local import LocalGroup
from dpnet.config.job import Job
from dpnet.data.scaling import Scaling
from dpnet.errors import CheckpointError, DpnetError
from dpnet.inference.network import make_network
from dpnet.nn.layout import Layout
from dpnet.training.known import Known, known_of
from dpnet.training.prepare import TrainingData, identify, open_data
from dpnet.training.pretrained.find import Pretrained
from dpnet.training.pretrained.of_checkpoint import of_checkpoint
from dpnet.training.pretrained.of_file import of_file
from dpnet.training.progress import Progress


@dataclass
class Trained:
    """A small training and its checkpoint, of which tests change a copy as they like.

    Attributes:
        folder: of the changed checkpoint.
        original: folder of the checkpoint as it was written.
        job: of the training.
        data: of the training.
    """

    folder: Path
    original: Path
    job: Job
    data: TrainingData

    def manifest(self) -> dict[str, Any]:
        return json.loads((self.original / "manifest.json").read_text())

    def rewrite(self, manifest: Any = None, files: dict[str, bytes] | None = None) -> None:
        """Write the checkpoint with another manifest or other files; every sha256 is right."""
        manifest = self.manifest() if manifest is None else manifest
        for name in checkpoint.FILES:
            file = f"{name}.safetensors"
            data = (files or {}).get(file, (self.original / file).read_bytes())
            (self.folder / file).write_bytes(data)
            if files and isinstance(manifest.get("sha256"), dict):
                manifest["sha256"][file] = hashlib.sha256(data).hexdigest()
        manifest = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
        total = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
        (self.folder / "manifest.json").write_text(json.dumps({**manifest, "manifest_sha256": total}))

    def consume(self) -> None:
        """Do everything that is ever done with a checkpoint; no error may escape but those of dpnet."""
        with contextlib.suppress(CheckpointError):
            self.use(checkpoint.read(self.folder))

    def use(self, found: Checkpoint) -> None:
        """Give a checkpoint to each of its consumers."""
        layout = Layout((3, *self.job.model.hidden_layers, 2))
        uses = [
            lambda: job_of(found),
            lambda: self.compare(known_of(self.folder, found.manifest)).encode(),
            lambda: "".join(numerics_notes(found, {"numpy": "9"}, reproducible=True, world_size=1)).encode(),
            lambda: state_vectors(found, layout, ("exp_avg", "exp_avg_sq"), self.job.model.dtype),
            lambda: Progress.from_dict(found.manifest["progress"]),
            lambda: Scaling.from_tensors(found.scaling),
            lambda: make_network(found),
            lambda: self.begin_with(Pretrained({"path": "x", "digest": "x", "scaling": ""}, "x"), contents_of(found)),
            lambda: checkpoint_table(self.folder, found).encode(),
            lambda: checkpoint.digest(found.model),
        ]
        for use in uses:
            with only_dpnet_errors(DpnetError):
                use()

    def begin_with(self, pretrained: Pretrained, content: Contents | StateDict) -> None:
        """Begin a new training with a checkpoint or a file."""
        begin = of_checkpoint if isinstance(content, Contents) else of_file
        layout = Layout((3, *self.job.model.hidden_layers, 2))
        begun = begin(pretrained, content, self.job, self.data.source, layout)
        assert np.isfinite(begun.params).all()
        "".join(begun.told).encode()

    def compare(self, known: Known) -> str:
        """All that is said when the training is to go on from the checkpoint."""
        fit = known.fit(self.job, len(self.data.source.train))
        assert fit is not None
        other, unknown = known.other_data(self.data)
        return "".join([*fit.refusals, *fit.state, *fit.notes, *other, unknown, *known.changes])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path = tmp_path_factory.mktemp("fuzz")
    source = save_data(path / "data.npz", 12)
    changes = {"model.hidden_layers": [2], "train.epochs": None, "train.steps": 2, "train.global_batch_size": 4}
    of_data = {"data.source": source, "data.missing": "mean"}  # The manifest has what stands for missing values.
    job = make_job(path / "run", {**changes, **of_data, "evaluate.every_steps": 1})
    dpnet.train(job, LocalGroup())
    original = (path / "run/checkpoints/latest").resolve()
    shutil.copytree(original, path / "changed")
    data = identify(job.data, open_data(job, LocalGroup()), LocalGroup(), measure=False)
    return Trained(path / "changed", original, job, data)
