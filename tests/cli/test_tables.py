"""Tables of checkpoints and of gradient checks."""

from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import train

from dpnet.checkpoint import format as checkpoint
from dpnet.cli.tables import checkpoint_table, gradcheck_table
from dpnet.errors import CheckpointError
from dpnet.nn.gradcheck import TensorCheck


def test_a_checkpoint_is_described(tmp_path):
    summary = train(tmp_path, {"data.validation": 0.1})
    found = checkpoint.read(tmp_path / "checkpoints/latest")
    text = checkpoint_table(Path("RUN"), found)
    for part in (
        "checkpoint RUN",
        "0.weight  12×64  float32         768",
        "2.bias       10  float32          10",
        "all                              910",
        "network      64-12-10, relu",
        "step         33, epoch 3 and 0 samples",
        "optimizer    adamw, learning rate 0.001",
        "data         digits: 1,293 training samples",
        f"digest       {summary['digest']}",
        f"written by   1 rank, dpnet {found.manifest['dpnet']}, numpy {np.__version__}",
        f"validation scores  accuracy {summary['eval_accuracy']:.2%}, loss {summary['eval_loss']:.4f}, "
        "144 samples, at step 33",
        f"best so far  accuracy {summary['best_accuracy']:.2%}, loss {summary['best_loss']:.4f}, "
        f"at step {summary['best_step']}",
    ):
        assert part in text.splitlines(), text


def test_a_checkpoint_before_any_evaluation_has_no_scores(tmp_path):
    train(tmp_path, {"evaluate.every_steps": 0})
    found = checkpoint.read(tmp_path / "checkpoints/latest")
    assert "test scores" not in checkpoint_table(tmp_path, found)
    assert "step         35, epoch 2 and 1,408 samples" in checkpoint_table(
        tmp_path, checkpoint.read(tmp_path / "checkpoints/step-00000035")
    )


def test_layers_are_in_the_order_of_the_network(tmp_path):
    train(tmp_path, {"model.hidden_layers": [3] * 6, "train.epochs": 1})
    text = checkpoint_table(tmp_path, checkpoint.read(tmp_path / "checkpoints/latest"))
    names = [line.split()[0] for line in text.splitlines() if "×" in line]
    assert names == [f"{2 * layer}.weight" for layer in range(7)]


def test_a_configuration_that_is_not_known_is_an_error(tmp_path):
    train(tmp_path, {"train.epochs": 1})
    found = checkpoint.read(tmp_path / "checkpoints/latest")
    found.manifest["config"]["model"]["activation"] = "swish"
    with pytest.raises(CheckpointError, match=r"written by dpnet .*swish"):
        checkpoint_table(tmp_path, found)


def results(**changes):
    values = {
        "name": "0.weight",
        "shape": (2, 3),
        "compared": 6,
        "kinks": 0,
        "max_abs_error": 1e-10,
        "relative_error": 2e-9,
        "ok": True,
    }
    return TensorCheck(**{**values, **changes})


def test_a_gradient_check_ends_in_a_verdict():
    good = gradcheck_table([results()], 1e-6)
    assert good.endswith("all gradients agree with central differences (relative error at most 1e-06)")
    assert "WRONG" not in good
    bad = gradcheck_table([results(), results(name="2.bias", ok=False)], 1e-6)
    assert bad.endswith("the gradients of 2.bias are wrong (relative error above 1e-06)")
    assert bad.splitlines()[2].endswith("WRONG")


def test_a_gradient_check_counts_what_it_left_out():
    assert "2 left out, at kinks" in gradcheck_table([results(kinks=2)], 1e-6)
    assert "left out" not in gradcheck_table([results()], 1e-6)
