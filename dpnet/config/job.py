"""The configuration of a job: one frozen dataclass per section of the job file.

Everything about a key stands in one place: its type, its limits, its documentation and its default. The checks, the
template and the README's table are made from it. What a key governs (see `Governs`) stands there too.

Objects made in Python are not checked; `dpnet.config.file` makes checked ones.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from dpnet.config.data import DataConfig
from dpnet.config.model import METRICS, ModelConfig
from dpnet.config.section import Among, Governs, OnlyFor, Periodic, Range, Section, Text, fill, follows
from dpnet.config.train import TrainConfig


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Section, governs=Governs.RESULT):
    """How the gradient changes the parameters; all rules as in PyTorch."""

    name: Annotated[Literal["sgd", "adam", "adamw"], "The update rule."] = "adamw"
    learning_rate: Annotated[
        float, Range(0, above=True), "Factor on each update; never adapted to the number of ranks."
    ] = 1e-3
    momentum: Annotated[
        float, Range(0, 1, below=True), OnlyFor(("sgd",)), "Share of the previous update in each update."
    ] = 0.0
    nesterov: Annotated[bool, OnlyFor(("sgd",)), "Nesterov's form of momentum; momentum must be above 0."] = False
    betas: Annotated[
        tuple[float, float],
        Range(0, 1, below=True),
        OnlyFor(("adam", "adamw")),
        "Decay rates of the running means of the gradient and of its square.",
    ] = (0.9, 0.999)
    eps: Annotated[float, Range(0, above=True), OnlyFor(("adam", "adamw")), "Keeps the divisor away from 0."] = 1e-8
    weight_decay: Annotated[
        float, Range(0), "Pull of the parameters towards 0: decoupled with adamw, else an L2 penalty."
    ] = follows("0.01 with adamw, else 0")
    weight_decay_biases: Annotated[bool, "Apply weight decay to biases as well."] = False
    clip_norm: Annotated[
        float, Range(0), "Largest norm of the gradient over all parameters; a larger one is scaled down. 0: off."
    ] = 0.0
    outer_learning_rate: Annotated[
        float,
        Range(0, above=True),
        "Of local SGD: factor on the mean of what the workers have done, at each synchronisation. Only with "
        "train.workers.",
    ] = 0.7
    outer_momentum: Annotated[
        float,
        Range(0, 1, below=True),
        "Of local SGD: Nesterov's momentum of the synchronisations. 0, with an outer_learning_rate of 1: the average "
        "of the workers' parameters. Only with train.workers.",
    ] = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight_decay is None:
            fill(self, "weight_decay", 0.01 if self.name == "adamw" else 0.0)


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig(Periodic, governs=Governs.RESULT):
    """How the learning rate changes with time."""

    one_of: ClassVar[dict[str, float]] = {"every_epochs": 1, "every_steps": 1000}

    name: Annotated[
        Literal["constant", "step", "cosine"],
        "constant: no change. step: multiplied by factor at every drop. cosine: down to min_learning_rate at the end.",
    ] = "constant"
    warmup_steps: Annotated[int, Range(0), "Steps over which the learning rate first grows linearly from 0."] = 0
    every_epochs: Annotated[int | None, Range(1), OnlyFor(("step",)), "Epochs from one drop to the next."] = None
    every_steps: Annotated[int | None, Range(1), OnlyFor(("step",)), "Steps from one drop to the next."] = None
    factor: Annotated[
        float, Range(0, 1, above=True), OnlyFor(("step",)), "Factor on the learning rate at every drop."
    ] = 0.1
    min_learning_rate: Annotated[
        float, Range(0), OnlyFor(("cosine",)), "Learning rate at the end; at most optimizer.learning_rate."
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Periodic, governs=Governs.RESULT):
    """When to compute scores on the validation data, else on the test data; and what validation data choose by them."""

    one_of: ClassVar[dict[str, float]] = {"every_epochs": 1, "every_steps": 1000}

    every_epochs: Annotated[int | None, Range(0), "Epochs from one evaluation to the next; 0: none at all."] = None
    every_steps: Annotated[int | None, Range(0), "Steps from one evaluation to the next; 0: none at all."] = None
    batch_size: Annotated[
        int, Governs.OPERATION, Range(1), "Samples that a rank computes at once; changes no result."
    ] = 512
    metric: Annotated[
        Literal["accuracy", "loss", "r2", "rmse", "mae", "micro_f1", "macro_f1", "subset_accuracy"],
        "Score of the validation data that decides which evaluation is the best: loss; accuracy with classes; r2, rmse "
        "or mae with numbers; micro_f1, macro_f1 or subset_accuracy with several labels. Without validation data none "
        "is: test data choose nothing.",
    ] = follows("accuracy with classification, r2 with regression, loss with multilabel")
    patience: Annotated[
        int,
        Governs.LENGTH,
        Range(0),
        "Evaluations of the validation data without improvement after which training stops; 0: never. Without "
        "validation data only 0 is allowed: test data choose nothing.",
    ] = 0
    min_delta: Annotated[float, Range(0), "An improvement is better than the last improvement by more than this."] = 0.0


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig(Periodic, governs=Governs.OPERATION):
    """When to save checkpoints, from which a training can resume, and how many to keep."""

    one_of: ClassVar[dict[str, float]] = {"every_epochs": 1, "every_steps": 1000, "every_seconds": 600.0}

    every_epochs: Annotated[int | None, Range(0), "Epochs from one checkpoint to the next; 0: none at all."] = None
    every_steps: Annotated[int | None, Range(0), "Steps from one checkpoint to the next; 0: none at all."] = None
    every_seconds: Annotated[float | None, Range(0), "Seconds from one checkpoint to the next; 0: none at all."] = None
    keep_last: Annotated[int, Range(1), "Number of newest checkpoints to keep."] = 2
    keep_best: Annotated[bool, "Keep the checkpoint of the best evaluation of validation data as well."] = True
    max_failed: Annotated[
        int, Range(1), "Failed writes in a row that end the training; those before are reported and tried again."
    ] = 3


@dataclass(frozen=True, kw_only=True)
class ResilienceConfig(Section, governs=Governs.OPERATION):
    """What happens when something breaks."""

    after_loss: Annotated[
        Literal["continue", "restart"],
        "When ranks were lost, under an MPI that survives it. continue: go on with the ranks that are left. restart: "
        "do the same, but end at the next checkpoint with preempted_exit_code, to be started again with all ranks.",
    ] = "continue"
    signals: Annotated[
        tuple[str, ...],
        Among(("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP")),
        "Signals to any rank that end the training after the current step, with a checkpoint; a second one ends it at "
        "once.",
    ] = ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP")
    preempted_exit_code: Annotated[
        int, Range(1, 255), "Exit code of a training that a signal ended: started again, it goes on."
    ] = 75
    timeout_s: Annotated[
        float,
        Range(0),
        "Seconds without a step after which every rank reports where it is; 0: follows from the steps so far.",
    ] = 0.0
    on_hang: Annotated[Literal["warn", "end"], "After that report. warn: go on waiting. end: end the job."] = "warn"
    on_nonfinite: Annotated[
        Literal["raise", "skip", "rollback"],
        "When the loss or gradient of a step is not finite. raise: end with an error. skip: leave the step out. "
        "rollback: go back to the last checkpoint, with the learning rate multiplied by rollback_factor.",
    ] = "raise"
    max_skips: Annotated[int, Range(1), "Steps left out, or rollbacks, in a row before training ends."] = 10
    rollback_factor: Annotated[float, Range(0, 1, above=True), "Factor on the learning rate at each rollback."] = 0.5
    digest_every: Annotated[
        int, Range(0), "Steps from one replica check, which compares the parameters of all nodes, to the next; 0: none."
    ] = 1000


@dataclass(frozen=True, kw_only=True)
class OutputConfig(Section, governs=Governs.OPERATION):
    """What a training leaves behind, and what it shows."""

    dir: Annotated[str | None, Text(), "The run directory: learning curve, summary and checkpoints."] = follows(
        "runs/ and the name of data.source without its ending, with a number behind it where that holds another job",
        example="runs/digits",
    )
    shared: Annotated[
        bool,
        "All hosts must see the run directory, to go on from there. false: the host of every first rank alone does.",
    ] = True
    log_every_steps: Annotated[int, Range(1), "Steps from one point of the learning curve to the next."] = 50
    progress: Annotated[
        Literal["auto", "bar", "plain", "none"], "What the console shows. auto: a bar on a terminal, else plain lines."
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class Job:
    """The configuration of a job."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    resilience: ResilienceConfig = ResilienceConfig()
    output: OutputConfig = OutputConfig()

    def __post_init__(self) -> None:
        if self.evaluate.metric is None:
            fill(self, "evaluate", dataclasses.replace(self.evaluate, metric=METRICS[self.model.task][0]))
