"""The commands and options of the command line."""

from __future__ import annotations

import argparse
import json
from typing import Any

from dpnet.cli.estimate_options import add_estimate
from dpnet.cli.quantities import positive, seconds
from dpnet.cli.start_options import LAUNCH, add_submit
from dpnet.cli.usage import Parser
from dpnet.cli.version import Version

COMMANDS = (
    "train", "launch", "evaluate", "predict", "inspect", "digest", "gradcheck", "time", "tune", "init", "data", "plot",
    "doctor", "estimate", "submit",
)  # fmt: skip
"""Names of all commands."""

PICTURE = "learning-curve.png"
"""Where `dpnet plot` draws if no other file is given."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; the name of the command ends up in `command`."""
    parser = Parser(
        prog="dpnet",
        description="Data-parallel training of neural networks on CPU clusters. "
        "Every command but launch, submit and tune also runs under mpirun, mpiexec and srun.",
    )
    parser.add_argument("--version", action=Version, help="show dpnet, Python, numpy and MPI, for a bug report")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="train a network"))
    start = "dpnet launch [-n N] [options] [mpirun options] -- COMMAND ..."
    commands.add_parser("launch", usage=start, help=f"start a command on N ranks: {start}", description=LAUNCH)
    _add_evaluate(commands.add_parser("evaluate", help="compute exact scores with a trained network"))
    predict = commands.add_parser("predict", help="write labels and probabilities with a trained network")
    _add_samples(predict)
    _add_nonfinite(predict, {"skip": "leave it out of the file", "nan": "write label -1 and probabilities NaN"})
    predict.add_argument("--out", metavar="FILE", required=True, help="FILE.npy or FILE.csv")
    _add_checkpoint(commands.add_parser("inspect", help="show layers, parameters, step and scores of a checkpoint"))
    digest = commands.add_parser("digest", help="print the sha256 of the parameters: the proof of equal bits")
    # Not the best: equal bits are those at the end of two trainings, and the digest of a summary is that of the end.
    digest.add_argument("checkpoint", help="checkpoint directory, or a run directory for its newest one")
    _add_job(commands.add_parser("gradcheck", help="compare every layer's gradient with central differences"))
    _add_timed(commands.add_parser("time", help="measure how fast a job trains, without writing anything"))
    _add_timed(commands.add_parser("tune", help="find the best number of ranks and threads for a job on this machine"))
    _add_init(commands.add_parser("init", help="write a commented job file"))
    _add_data(commands.add_parser("data", help="convert data that are larger than memory, or look at what they are"))
    plot = commands.add_parser("plot", help="draw the learning curves of run directories")
    plot.add_argument("runs", nargs="+", metavar="RUN", help="run directory")
    plot.add_argument("--out", metavar="FILE", default=PICTURE, help=f".png, .svg or .pdf (default: {PICTURE})")
    submit = commands.add_parser("submit", help="check a training, and submit it as a batch job of Slurm or PBS")
    _add_job(submit)
    add_submit(submit)
    _add_doctor(commands.add_parser("doctor", help="look for mistakes of machine, installation and start"))
    _add_estimate(commands.add_parser("estimate", help="estimate how long a step of a job takes on several nodes"))
    return parser


def overrides(arguments: argparse.Namespace) -> list[str]:
    """All settings of a command line as `section.key=value`, short forms such as --output included."""
    output = getattr(arguments, "output", None)
    short = {"model.pretrained": getattr(arguments, "pretrained", None), "output.dir": output}
    given = [f"{key}={json.dumps(text, ensure_ascii=False)}" for key, text in short.items() if text is not None]
    return [*arguments.overrides, *given]


class _Resume(argparse.Action):
    """Keeps the last value in `resume`, and the last path in `resumed`, for `--resume PATH --resume auto`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        namespace.resume = values
        if values not in ("auto", "never"):
            namespace.resumed = values


def _add_train(command: argparse.ArgumentParser) -> None:
    _add_job(command)
    command.add_argument(
        "--output",
        metavar="DIR",
        help="run directory, short for --set output.dir=DIR (default: runs/ and the name of the data, with a number "
        "behind it where that holds another job)",
    )
    command.add_argument(
        "--from",
        metavar="PATH",
        dest="pretrained",
        help="begin with the parameters of this checkpoint, run directory (its best checkpoint) or .safetensors file, "
        "short for --set model.pretrained=PATH: fine-tuning",
    )
    command.add_argument(
        "--resume",
        action=_Resume,
        default="auto",
        metavar="auto|never|PATH",
        help="auto (default): go on from the newest whole checkpoint of the run directory, if there is one; never: "
        "start anew and set aside what is there; PATH: go on from this checkpoint or run directory, without JOB.toml "
        "with its job and in its directory",
    )
    command.set_defaults(resumed=None)


def _add_job(command: argparse.ArgumentParser, default: str = "the defaults, and the embedded digits") -> None:
    command.add_argument("job", nargs="?", metavar="JOB.toml", help=f"job file (default: {default})")
    _add_set(command, "override a setting")


def _add_set(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides", help=what)


def _add_timed(command: argparse.ArgumentParser) -> None:
    _add_job(command)
    command.add_argument("--seconds", type=seconds, default=3.0, help="how long to measure each choice (default: 3)")


def _add_checkpoint(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "checkpoint",
        help="checkpoint directory, or a run directory for its best one (the newest, if none is kept as the best)",
    )
    command.add_argument("--last", action="store_true", help="of a run directory, take the newest checkpoint")


def _add_samples(command: argparse.ArgumentParser) -> None:
    _add_checkpoint(command)
    command.add_argument(
        "--data", metavar="SOURCE", help="digits, or a path: see data.source (default: that of the training)"
    )
    command.add_argument(
        "--split",
        choices=("test", "train", "validation"),
        help="which samples; of the training's own data those that it had as such (default: test, and of other data "
        "without named splits all)",
    )
    command.add_argument(
        "--batch-size", type=positive, help="samples computed at once (default: evaluate.batch_size of the training)"
    )


def _add_init(command: argparse.ArgumentParser) -> None:
    command.add_argument("path", nargs="?", default="job.toml", help="file to write (default: job.toml)")
    command.add_argument("--data", metavar="SOURCE", help="data to look at, and to write the job file for")
    _add_set(command, "a setting that the job file should have")
    words = (
        "column or data set of the labels, or place of the column; once for each, or a pattern, if there are several"
    )
    command.add_argument("--target", metavar="COLUMN", action="append", help=words)
    words = "of a table that is text: whether its first line holds the names of the columns (default: a guess)"
    command.add_argument("--header", choices=("true", "false"), help=words)


def _add_data(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    convert = actions.add_parser(
        "convert",
        help="turn data of any kind into a folder of .npy files that training maps into memory",
        description="Turn data of any kind into a folder of .npy files, with a manifest, that training maps into "
        "memory. The keys of [data] that say how SOURCE is read, and model.task, are those of JOB.toml and of --set. "
        "All ranks share the work. A conversion that was cut off goes on when it is started again.",
    )
    convert.add_argument("source", metavar="SOURCE", help="the data: see data.source")
    convert.add_argument("dest", metavar="DEST", help="folder to write; data.source of the trainings")
    _add_job(convert, "the default of every key")
    convert.set_defaults(command="data_convert")
    info = actions.add_parser(
        "info",
        help="show what data of any kind hold, and what dpnet would do with them",
        description="Show rows, columns, classes, constant columns, test samples that are training samples too, and "
        "what dpnet would make of SOURCE: as JOB.toml says, or without it as `dpnet init` would propose. All samples "
        "are read; memory is taken for 8 bytes of each.",
    )
    info.add_argument("source", metavar="SOURCE", help="the data: see data.source")
    _add_job(info, "as dpnet init would propose")
    info.add_argument("--json", action="store_true", help="print it as one line of JSON")
    info.set_defaults(command="data_info")


def _add_doctor(command: argparse.ArgumentParser) -> None:
    command.description = "Say what is wrong, alone or on the ranks of mpirun or srun. Exit code 1: there is a fault."
    _add_job(command, "the defaults, and no look at data")
    command.add_argument("--output", metavar="DIR", help="run directory to look at")
    command.add_argument("--json", action="store_true", help="print it as one line of JSON")


def _add_estimate(command: argparse.ArgumentParser) -> None:
    _add_job(command)
    add_estimate(command)


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    _add_samples(command)
    _add_nonfinite(command, {"skip": "leave it out of the scores"})
    command.add_argument(
        "--unknown-labels",
        choices=("error", "ignore"),
        help="what to do about samples of a class that the network does not know. error: end with an error; ignore: "
        "leave them out of the scores (default: data.unknown_labels of the training)",
    )
    command.add_argument(
        "--details",
        action="store_true",
        help="also balanced accuracy, macro F1, top-k accuracy, AUC (of two classes), scores of every class, and the "
        "confusion matrix; of a regression scores of every output, how the errors are spread, and the largest of them",
    )
    command.add_argument(
        "--top-k",
        type=positive,
        metavar="K",
        help="k of the top-k accuracy of --details (default: 5, where there are more than 5 classes)",
    )
    command.add_argument("--json", action="store_true", help="print the scores as one line of JSON")


def _add_nonfinite(command: argparse.ArgumentParser, others: dict[str, str]) -> None:
    ways = "; ".join(f"{name}: {what}" for name, what in {"raise (default)": "end with an error", **others}.items())
    command.add_argument(
        "--nonfinite",
        choices=("raise", *others),
        default="raise",
        help=f"what to do about a sample with an input or an output that is NaN or infinite. {ways}",
    )
