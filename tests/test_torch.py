"""dpnet against PyTorch: the same hyperparameters give the same parameters, and PyTorch reads what dpnet writes."""

import itertools

import numpy as np
import pytest
from helpers.night import at_night
from threadpoolctl import threadpool_limits

from dpnet.comm.local import LocalGroup
from dpnet.compute.backend import plain_backend
from dpnet.config.job import DataConfig, Job, ModelConfig, OptimizerConfig, OutputConfig, TrainConfig
from dpnet.errors import CheckpointError
from dpnet.training.build import build_parts
from dpnet.training.prepare import measure_scaling, open_data, prepare
from dpnet.training.run import train

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads of two libraries that wait for one another on the same cores spin for most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


OPTIMIZERS = {
    "sgd": ({"name": "sgd", "learning_rate": 0.1}, lambda p: torch.optim.SGD(p, lr=0.1)),
    "sgd_l2": (
        {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.01, "weight_decay_biases": True},
        lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01),
    ),
    "momentum": (
        {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    ),
    "nesterov": (
        {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    ),
    "adam": (
        {"name": "adam", "weight_decay": 0.01, "weight_decay_biases": True},
        lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=0.01),
    ),
    "adamw": (
        {"name": "adamw", "weight_decay": 0.1, "weight_decay_biases": True},
        lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.1),
    ),
}


def sequential(sizes):
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


# In float32 a unit within rounding of its kink may be active in one program and not in the other, and from then on the
# two trainings differ by more than rounding. Few units make that unlikely; in float64 it does not happen.
PRECISIONS = {"float32": ((16,), 1e-4), "float64": ((64, 32), 1e-9)}
PAIRS = [("float32", 0.0), at_night("float32", 0.5), at_night("float64", 0.0), ("float64", 0.5)]


@pytest.mark.parametrize(("dtype", "clip_norm"), PAIRS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hundred_full_batch_steps_give_the_parameters_of_pytorch(name, clip_norm, dtype):
    settings, make_optimizer = OPTIMIZERS[name]
    hidden_layers, tolerance = PRECISIONS[dtype]
    job = Job(
        model=ModelConfig(hidden_layers=hidden_layers, dtype=dtype),
        train=TrainConfig(steps=100, global_batch_size=10_000, threads=1),
        optimizer=OptimizerConfig(clip_norm=clip_norm, **settings),
    )
    group = LocalGroup()
    source = open_data(job, group)
    scaling = measure_scaling(job, source, group)
    parts = build_parts(prepare(job, group, source, backend=plain_backend(), scaling=scaling), source)
    model = sequential(parts.layout.sizes).to(getattr(torch, dtype))
    model.load_state_dict(
        {key: torch.tensor(value) for key, value in parts.layout.named(parts.state.params.copy()).items()}
    )
    optimizer = make_optimizer(model.parameters())
    x = torch.tensor(((source.train.inputs - scaling.offset) * scaling.factor).astype(dtype))
    y = torch.tensor(source.train.labels)
    for step in range(100):
        sums = parts.trainer.step(step)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        assert sums.loss / sums.samples == pytest.approx(float(loss.detach()), rel=1e-3)
    ours = np.concatenate([array.ravel() for array in parts.layout.named(parts.state.params).values()])
    theirs = np.concatenate([tensor.numpy().ravel() for tensor in model.state_dict().values()])
    assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)


MODELS = {
    "squared error": ({"task": "regression"}, torch.nn.MSELoss(reduction="none")),
    "absolute error": ({"task": "regression", "loss": "absolute_error"}, torch.nn.L1Loss(reduction="none")),
    "Huber's error": (
        {"task": "regression", "loss": "huber", "huber_delta": 0.5},
        torch.nn.HuberLoss(delta=0.5, reduction="none"),
    ),
    "several labels": ({"task": "multilabel"}, torch.nn.BCEWithLogitsLoss(reduction="none")),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_hundred_steps_with_rows_of_targets_and_weights_give_the_parameters_of_pytorch(tmp_path, kind):
    settings, theirs = MODELS[kind]
    chance = np.random.default_rng(3)
    given, w = chance.standard_normal((70, 5)), chance.integers(0, 3, 70)
    targets = np.stack([9 + 4 * given[:, 0] * given[:, 1], given[:, 2]], 1)
    if settings["task"] == "multilabel":
        targets = (targets > [9, 1]).astype(float)
    np.savez(tmp_path / "d.npz", x_train=given, y_train=targets, w_train=w)
    # tanh: with the absolute error many slopes of the loss jump, and few of the network should.
    job = Job(
        model=ModelConfig(hidden_layers=(8,), activation="tanh", dtype="float64", **settings),
        data=DataConfig(source=str(tmp_path / "d.npz")),
        train=TrainConfig(steps=100, global_batch_size=70, threads=1),
        optimizer=OptimizerConfig(name="sgd", learning_rate=0.05, momentum=0.9),
    )
    group = LocalGroup()
    source = open_data(job, group)
    scaling = measure_scaling(job, source, group)
    parts = build_parts(prepare(job, group, source, backend=plain_backend(), scaling=scaling), source)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()
    model.load_state_dict(
        {key: torch.tensor(value) for key, value in parts.layout.named(parts.state.params.copy()).items()}
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    mean, weights = np.average(targets, axis=0, weights=w), torch.tensor(w, dtype=torch.float64)
    deviation = np.sqrt(np.average((targets - mean) ** 2, axis=0, weights=w))
    if settings["task"] == "multilabel":
        mean, deviation = 0, 1
    x, y = torch.tensor((given - scaling.offset) * scaling.factor), torch.tensor((targets - mean) / deviation)
    for step in range(100):
        sums = parts.trainer.step(step)
        optimizer.zero_grad()
        value = (theirs(model(x), y).mean(1) * weights).sum() / weights.sum()
        value.backward()
        optimizer.step()
        assert sums.loss / sums.weight == pytest.approx(float(value.detach()), rel=1e-6)
    for name, ours in parts.layout.named(parts.state.params).items():
        np.testing.assert_allclose(ours, model.state_dict()[name].numpy(), rtol=1e-6, atol=1e-9)


def test_a_checkpoint_is_a_state_dict(tmp_path):
    from safetensors.torch import load_file

    job = Job(
        model=ModelConfig(hidden_layers=(16,)),
        train=TrainConfig(epochs=3),
        output=OutputConfig(dir=str(tmp_path), progress="none"),
    )
    summary = train(job, LocalGroup())
    model = sequential((64, 16, 10))
    model.load_state_dict(load_file(tmp_path / "checkpoints/latest/model.safetensors"))
    source = open_data(job, LocalGroup())
    scaling, test = measure_scaling(job, source, LocalGroup()), source.test
    x = torch.tensor(((test.inputs - scaling.offset) * scaling.factor).astype(np.float32))
    hits = (model(x).argmax(1).numpy() == test.labels).sum()
    assert hits / len(test) == pytest.approx(summary["eval_accuracy"])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_a_training_begins_with_a_state_dict_of_pytorch(tmp_path, dtype):
    from safetensors.torch import save_file

    torch.manual_seed(3)
    model = sequential((64, 16, 16, 10)).to(getattr(torch, dtype))
    wrapped = torch.nn.ModuleDict({"module": model})  # As DistributedDataParallel names them: module.0.weight.
    save_file(wrapped.state_dict(), tmp_path / "model.safetensors")
    job = Job(
        model=ModelConfig(hidden_layers=(16, 16), dtype="float64", pretrained=str(tmp_path / "model.safetensors")),
        data=DataConfig(scale="none"),
        train=TrainConfig(steps=1),
        optimizer=OptimizerConfig(name="sgd", learning_rate=1e-30),
        output=OutputConfig(dir=str(tmp_path / "run"), progress="none"),
    )
    summary = train(job, LocalGroup())
    source = open_data(job, LocalGroup())
    with torch.no_grad():
        logits = model.double()(torch.tensor(source.test.inputs).double())
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(source.test.labels))
    assert summary["eval_loss"] == pytest.approx(float(loss), rel=1e-12)


def test_what_torch_save_writes_is_refused(tmp_path):
    torch.save(sequential((64, 16, 10)).state_dict(), tmp_path / "model.safetensors")
    job = Job(model=ModelConfig(hidden_layers=(16,), pretrained=str(tmp_path / "model.safetensors")))
    with pytest.raises(CheckpointError, match="is a pickle or an archive"):
        train(job, LocalGroup())
