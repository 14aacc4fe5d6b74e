"""Training end to end on several ranks: exact, repeatable, and with the same bits where the job asks for them."""

import json
import sys

import numpy as np
import pytest
from helpers.jobs import curve
from helpers.mpirun import mpirun, run_command, run_ranks
from helpers.night import NIGHT, at_night
from helpers.readme import block
from helpers.turns import Turns
from safetensors.numpy import load_file

from dpnet.compute.products import wheels
from dpnet.parallel.reducer import REDUCERS

pytestmark = [pytest.mark.ranks, pytest.mark.slow]

# 1437 samples in batches of 64 are 23 steps an epoch. The last batch has 29, and every shard of it 2 or 3.
REPRODUCIBLE = [
    "train.reproducible_shards=12",
    "train.epochs=2",
    "train.label_smoothing=0.1",
    "data.class_weights={ 3 = 2, 7 = 0 }",
    "optimizer.name=adamw",
    "optimizer.clip_norm=0.5",
    "checkpoint.every_steps=10",
    "checkpoint.keep_last=20",
]
SAME = ("digest", "eval_loss", "eval_accuracy", "steps", "status")


TURNS = Turns()


@pytest.fixture(scope="module", autouse=True)
def _turns():
    with TURNS:
        yield


def dpnet(num_ranks, *arguments, timeout_s=120, env=None):
    """Run a command on several ranks; returns what they print."""
    code, text = TURNS.run(num_ranks, [*map(str, arguments)], timeout_s=timeout_s, env=env)
    assert code == 0, text
    return text


def training(output, settings, *rest):
    """The arguments of a command that trains."""
    return ["train", "--output", output, *(word for setting in settings for word in ("--set", setting)), *rest]


def train(num_ranks, output, settings, *rest, timeout_s=120, env=None):
    """Train on several ranks; returns the summary."""
    dpnet(num_ranks, *training(output, settings, *rest), timeout_s=timeout_s, env=env)
    return json.loads((output / "summary.json").read_text())


def parameters(output):
    tensors = load_file(output / "checkpoints/latest/model.safetensors")
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


def difference(output, expected):
    """How far the parameters are from each other: the norm of their difference by that of the expected ones."""
    whole = parameters(expected)
    return np.linalg.norm(parameters(output) - whole) / np.linalg.norm(whole)


def assert_close(output, expected):
    """Parameters agree, but not to the bit."""
    assert 0 < difference(output, expected) <= 1e-4


@pytest.fixture(scope="module")
def reproducible(tmp_path_factory):
    """The summary of the reproducible training on one rank, and its run directory."""
    output = tmp_path_factory.mktemp("reproducible") / "run"
    return train(1, output, REPRODUCIBLE), output


def save_rows(path, *, labels=False):
    """Targets of two sizes, uneven weights, some of them 0; 271 of 301 samples make batches of 64, the last of 15.

    With `labels` a sample has two labels, of which one is rare.
    """
    rng = np.random.default_rng(8)
    x = rng.standard_normal((401, 6))
    y = np.stack([100 + 20 * x[:, 0] * x[:, 1], np.sin(x[:, 2])], 1)
    y = y > [100, 0.9] if labels else y
    w = rng.integers(0, 4, 401)
    parts = {"train": slice(301), "test": slice(301, None)}
    arrays = {f"{name}_{part}": of[rows] for name, of in (("x", x), ("y", y), ("w", w)) for part, rows in parts.items()}
    np.savez(path, **arrays)
    return path


OF_NUMBERS = ("r2", "rmse", "mae")
OF_LABELS = ("micro_f1", "macro_f1", "subset_accuracy")
ROWS_OF_TARGETS = [
    ("absolute_error", OF_NUMBERS),
    at_night("squared_error", OF_NUMBERS),
    at_night("huber", OF_NUMBERS),
    ("labels", OF_LABELS),
]


@pytest.mark.parametrize(("loss", "measures"), ROWS_OF_TARGETS)
def test_rows_of_targets_give_the_same_bits_on_any_number_of_ranks_and_after_a_resume(tmp_path, loss, measures):
    of_labels = loss == "labels"
    settings = [
        f"data.source={save_rows(tmp_path / 'd.npz', labels=of_labels)}",
        *(["model.task=multilabel"] if of_labels else ["model.task=regression", f"model.loss={loss}"]),
        "model.hidden_layers=[32]",
        "data.validation=0.1",
        "train.reproducible_shards=7",
        "train.epochs=3",
        "checkpoint.every_steps=7",
        "checkpoint.keep_last=9",
    ]
    one, three, resumed = (tmp_path / name for name in ("one", "three", "resumed"))
    expected, seen = train(1, one, settings), train(3, three, settings)
    same = [
        "digest",
        "steps",
        "best_step",
        *(f"{of}_{name}" for of in ("eval", "test") for name in ("loss", *measures)),
    ]
    assert {key: seen[key] for key in same} == {key: expected[key] for key in same}
    assert curve(three) == curve(one)
    # Step 7 is in the middle of the second epoch.
    again = train(2, resumed, settings, "--resume", one / "checkpoints/step-00000007")
    assert {key: again[key] for key in same} == {key: expected[key] for key in same}
    scores = [dpnet(ranks, "evaluate", one, "--data", tmp_path / "d.npz") for ranks in (1, 3)]
    assert scores[0].splitlines()[-1] == scores[1].splitlines()[-1]
    files = [tmp_path / f"p{ranks}.npy" for ranks in (1, 3)]
    for ranks, out in zip((1, 3), files, strict=True):
        dpnet(ranks, "predict", one, "--data", tmp_path / "d.npz", "--out", out)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("num_ranks", [1, 3])
def test_rare_texts_of_a_table_are_the_same_inputs_on_any_number_of_ranks_and_once_converted(tmp_path, num_ranks):
    cities = ["Bonn", "Kiel", "Ulm", "Bonn", "Kiel", "Jena"]
    rows = [f"{cities[row * row % 6 if row % 7 else 5]},{row % 5},{row % 2}" for row in range(160)]
    rows += [f"city {row},{row % 5},{row % 2}" for row in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["city,n,kind", *rows, ""]))
    of_data = ["data.target=kind", "data.min_frequency=20", "data.test=0.2", "data.validation=0.1"]
    settings = [*of_data, "train.reproducible_shards=6", "train.epochs=2", "train.global_batch_size=32"]
    expected = train(1, tmp_path / "one", [*settings, f"data.source={tmp_path / 't.csv'}"])
    told = [word for setting in of_data for word in ("--set", setting)]
    dpnet(num_ranks, "data", "convert", tmp_path / "t.csv", tmp_path / "converted", *told)
    for source in ("t.csv", "converted"):
        seen = train(num_ranks, tmp_path / f"of {source}", [*settings, f"data.source={tmp_path / source}"])
        assert {key: seen[key] for key in (*SAME, "test_loss")} == {key: expected[key] for key in (*SAME, "test_loss")}
        manifest = json.loads((tmp_path / f"of {source}" / "checkpoints/latest/manifest.json").read_text())
        assert manifest["data"]["schema"]["features"][0]["unknown"] is True


def test_fine_tuning_gives_the_same_bits_on_any_number_of_ranks_and_after_a_resume(reproducible, tmp_path):
    settings = [*REPRODUCIBLE, "model.pretrained=" + str(reproducible[1]), 'model.freeze=["0"]', "train.seed=5"]
    one, three, resumed = (tmp_path / name for name in ("one", "three", "resumed"))
    expected, seen = train(1, one, settings), train(3, three, settings)
    assert {key: seen[key] for key in SAME} == {key: expected[key] for key in SAME}
    assert curve(three) == curve(one)
    again = train(2, resumed, settings, "--resume", one / "checkpoints/step-00000030")  # In the second epoch.
    assert {key: again[key] for key in SAME} == {key: expected[key] for key in SAME}
    assert again["pretrained"] == expected["pretrained"]
    before, after = (load_file(run / "checkpoints/latest/model.safetensors") for run in (reproducible[1], three))
    kept = {name for name, array in after.items() if array.tobytes() == before[name].tobytes()}
    assert kept == {"0.weight", "0.bias"}


@pytest.mark.parametrize("num_ranks", [2, 3, at_night(4), 5, at_night(12)])
def test_reproducible_shards_give_the_same_bits_on_any_number_of_ranks(reproducible, tmp_path, num_ranks):
    expected, one_rank = reproducible
    seen = train(num_ranks, tmp_path, REPRODUCIBLE)
    assert seen["world_size"] == num_ranks
    assert {key: seen[key] for key in SAME} == {key: expected[key] for key in SAME}
    assert curve(tmp_path) == curve(one_rank)
    assert dpnet(num_ranks, "digest", tmp_path).split() == [expected["digest"]]


def test_the_statistics_of_the_inputs_do_not_depend_on_the_ranks(reproducible, tmp_path):
    # Without reproducible_shards too: what a batch holds follows from the statistics.
    train(3, tmp_path, ["train.steps=1"])
    name = "checkpoints/latest/scaling.safetensors"
    assert (tmp_path / name).read_bytes() == (reproducible[1] / name).read_bytes()


@pytest.mark.parametrize(("num_ranks", "step"), [(2, 30), (5, 40), (1, 20)])
def test_a_training_goes_on_in_mid_epoch_on_another_number_of_ranks(reproducible, tmp_path, num_ranks, step):
    expected, one_rank = reproducible
    source = one_rank / f"checkpoints/step-{step:08d}"
    seen = train(num_ranks, tmp_path, REPRODUCIBLE, "--resume", source)
    assert {key: seen[key] for key in SAME} == {key: expected[key] for key in SAME}
    assert [row for row in curve(one_rank) if row["step"] > step] == [
        row for row in curve(tmp_path) if row["step"] > step
    ]


def test_a_training_that_several_ranks_began_goes_on_on_one(reproducible, tmp_path):
    expected, _ = reproducible
    first = tmp_path / "first"
    train(4, first, [*(setting for setting in REPRODUCIBLE if "epochs" not in setting), "train.steps=31"])
    seen = train(1, first, REPRODUCIBLE)
    assert {key: seen[key] for key in SAME} == {key: expected[key] for key in SAME}


@pytest.mark.parametrize("num_ranks", [1, 3])
def test_patience_without_validation_data_is_refused_once_for_all_ranks(tmp_path, num_ranks):
    code, text = TURNS.run(num_ranks, [*map(str, training(tmp_path / "run", ["evaluate.patience=3"]))])
    assert (code, text.count("evaluate.patience is 3, and there are no validation data")) == (2, 1), text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("num_ranks", [1, 3])
def test_test_data_choose_nothing_on_any_number_of_ranks(reproducible, tmp_path, num_ranks):
    seen = train(num_ranks, tmp_path, REPRODUCIBLE)
    assert seen["digest"] == reproducible[0]["digest"]
    assert not [key for key in seen if "best" in key]
    assert not (tmp_path / "checkpoints/best").is_symlink()
    assert (seen["test_loss"], seen["test_accuracy"]) == (seen["eval_loss"], seen["eval_accuracy"])
    assert f"{tmp_path}: the newest checkpoint, step 46; none is kept as the best" in dpnet(
        num_ranks, "evaluate", tmp_path
    )


def test_the_same_samples_validate_on_any_number_of_ranks_and_the_test_scores_are_the_same(tmp_path):
    settings = [*REPRODUCIBLE, "data.validation=0.1", "evaluate.every_steps=7", "optimizer.learning_rate=0.03"]
    seen = [train(num_ranks, tmp_path / str(num_ranks), settings) for num_ranks in (1, 2, 3)]
    whole = seen[0]
    assert whole["best_step"] < whole["steps"] == 42  # Or this would be no test of the best parameters.
    assert {row.get("eval_samples", 144) for row in curve(tmp_path / "1")} == {144}
    told = [key for key in whole if "test" in key or "best" in key]
    for number, other in zip((2, 3), seen[1:], strict=True):
        assert {key: other[key] for key in (*SAME, *told)} == {key: whole[key] for key in (*SAME, *told)}
        assert curve(tmp_path / str(number)) == curve(tmp_path / "1")
    first = tmp_path / "first"
    train(3, first, [*(setting for setting in settings if "epochs" not in setting), "train.steps=31"])
    again = train(2, first, settings)
    assert {key: again[key] for key in (*SAME, "test_loss")} == {key: whole[key] for key in (*SAME, "test_loss")}


@pytest.mark.parametrize("num_ranks", [at_night(2), 3])
def test_the_same_job_gives_the_same_bits_every_time(tmp_path, num_ranks):
    seen = train(num_ranks, tmp_path / "first", ["train.epochs=2"])
    train(num_ranks, tmp_path / "again", ["train.epochs=2"])
    command = map(str, training(tmp_path / "by other processes", ["train.epochs=2"]))
    code, text = run_command([*mpirun(num_ranks), sys.executable, "-m", "dpnet", *command], timeout_s=60)
    assert code == 0, text
    for name in ("again", "by other processes"):
        assert json.loads((tmp_path / name / "summary.json").read_text())["digest"] == seen["digest"]


def test_momentum_gives_nearly_the_same_parameters_on_any_number_of_ranks(tmp_path):
    settings = ["train.epochs=2", "optimizer.name=sgd", "optimizer.momentum=0.9", "optimizer.learning_rate=0.02"]
    for num_ranks in (1, 2, 3, 4):
        train(num_ranks, tmp_path / str(num_ranks), settings)
    for num_ranks in (2, 3, 4):
        assert_close(tmp_path / str(num_ranks), tmp_path / "1")


def test_more_ranks_than_samples_in_a_batch_is_as_exact_as_one_rank(tmp_path):
    settings = ["train.steps=40", "train.global_batch_size=2", "optimizer.name=sgd", "optimizer.learning_rate=0.02"]
    for num_ranks in (1, 4):
        train(num_ranks, tmp_path / str(num_ranks), settings)
    assert_close(tmp_path / "4", tmp_path / "1")


def test_more_ranks_than_samples_in_a_batch_give_the_same_bits_in_fixed_shards(tmp_path):
    settings = ["train.steps=40", "train.global_batch_size=2", "train.reproducible_shards=4"]
    digests = {train(num_ranks, tmp_path / str(num_ranks), settings)["digest"] for num_ranks in (1, 3, 4)}
    assert len(digests) == 1


def test_scores_do_not_depend_on_the_ranks(reproducible):
    expected, run = reproducible
    outputs = [dpnet(n, "evaluate", run, "--data", "digits", "--batch-size", "50") for n in (1, 2, 3, 4)]
    scores = {line for output in outputs for line in output.splitlines() if line.startswith("accuracy")}
    assert len(scores) == 1, outputs
    assert f"{expected['eval_accuracy']:.4%}  loss {expected['eval_loss']:.6f}" in scores.pop()


def test_scores_of_classes_do_not_depend_on_the_ranks(reproducible):
    arguments = ["evaluate", reproducible[1], "--data", "digits", "--batch-size", "50", "--details", "--json"]
    alone, together = (json.loads(dpnet(n, *arguments).splitlines()[-1]) for n in (1, 3))
    assert together == alone
    assert sum(sum(row) for row in alone["confusion"]) == alone["samples"] == 360
    hits = sum(row[place] for place, row in enumerate(alone["confusion"]))
    assert hits / 360 == alone["accuracy"] == pytest.approx(reproducible[0]["eval_accuracy"])


@pytest.mark.parametrize("ending", ["npy", "csv"])
def test_predictions_do_not_depend_on_the_ranks(reproducible, tmp_path, ending):
    for num_ranks in (1, 3):
        out = tmp_path / f"{num_ranks}.{ending}"
        dpnet(num_ranks, "predict", reproducible[1], "--data", "digits", "--batch-size", "50", "--out", out)
    assert (tmp_path / f"1.{ending}").read_bytes() == (tmp_path / f"3.{ending}").read_bytes()


def test_the_real_mnist_is_learnt_by_the_job_of_the_readme(tmp_path, mnist):
    job = tmp_path / "mnist.toml"
    job.write_text(block("toml"))
    settings = [f"data.source={mnist}", *([] if NIGHT else ["train.epochs=1"])]
    accuracy = train(4, tmp_path / "run", settings, job, timeout_s=200)["eval_accuracy"]
    assert accuracy >= (0.98 if NIGHT else 0.93)


@pytest.mark.parametrize(
    ("shards", "way"),
    [(0, "train.kernels=numpy"), (7, "train.kernels=numpy"), (7, "train.shared_memory=false")],
)
def test_kernels_change_no_bit_and_with_fixed_shards_shared_memory_does_not_either(tmp_path, shards, way):
    settings = [f"train.reproducible_shards={shards}", "train.epochs=2", "optimizer.clip_norm=0.5"]
    seen = [train(3, tmp_path / name, [*settings, *more]) for name, more in {"as it is": [], "other": [way]}.items()]
    assert [seen[0][key] for key in SAME] == [seen[1][key] for key in SAME]


@pytest.mark.parametrize(("num_ranks", "clip_norm"), [(2, 0.0), (3, 0.5), (4, 0.0)])
def test_every_way_to_spread_ranks_over_nodes_is_as_exact_as_one_rank(tmp_path, num_ranks, clip_norm):
    settings = ["train.steps=30", "optimizer.name=sgd", "optimizer.momentum=0.9", "optimizer.learning_rate=0.02"]
    settings.append(f"optimizer.clip_norm={clip_norm}")
    train(1, tmp_path / "1", settings)
    train(num_ranks, tmp_path / "together", settings)
    train(num_ranks, tmp_path / "two on a node", settings, env={"DPNET_RANKS_PER_NODE": "2"})
    train(num_ranks, tmp_path / "apart", [*settings, "train.shared_memory=false"])
    for name in ("together", "two on a node", "apart"):
        assert_close(tmp_path / name, tmp_path / "1")


@pytest.mark.parametrize(
    ("num_ranks", "ranks_per_node", "shared"), [(2, "0", "true"), (3, "2", "true"), (3, "0", "false")]
)
def test_every_reducer_learns_the_same(tmp_path, num_ranks, ranks_per_node, shared):
    settings = ["train.epochs=2", "optimizer.name=sgd", "optimizer.learning_rate=0.02", "optimizer.clip_norm=0.5"]
    settings += [f"train.shared_memory={shared}", "output.log_every_steps=5"]
    for name in REDUCERS:
        way = [*settings, f"train.reducer={name}"]
        train(num_ranks, tmp_path / name, way, env={"DPNET_RANKS_PER_NODE": ranks_per_node})
    expected = curve(tmp_path / "allreduce")
    for name in ("joint", "shards"):
        rows = curve(tmp_path / name)
        assert len(rows) == len(expected) > 10
        for row, like in zip(rows, expected, strict=True):
            assert row.pop("eval_split", None) == like.get("eval_split")
            assert row == pytest.approx({key: like[key] for key in row}, rel=1e-4)
            assert row.keys() == like.keys() - {"eval_split"}
    differences = [difference(tmp_path / name, tmp_path / "allreduce") for name in ("joint", "shards")]
    assert max(differences) <= 1e-4
    # The setting shows in the last bits, as the order of the sums differs; for ranks apart MPI may choose the same.
    assert max(differences) > 0 or shared == "false"


@pytest.mark.parametrize(("num_ranks", "ranks_per_node"), [(3, "2"), at_night(4, "1")])
def test_gradients_rounded_on_the_wire_learn_as_well_and_every_node_sees_the_same(tmp_path, num_ranks, ranks_per_node):
    # Replicas are compared after every step: nodes whose parameters differ would end the training.
    settings = ["train.epochs=4", "optimizer.learning_rate=0.003", "resilience.digest_every=1"]
    env, seen = {"DPNET_RANKS_PER_NODE": ranks_per_node}, {}
    for wire in ("float32", "bfloat16"):
        way = [*settings, f"train.wire={wire}"]
        seen[wire] = train(num_ranks, tmp_path / wire, way, env=env)
    text = dpnet(num_ranks, *training(tmp_path / "again", way), env=env)
    assert "between nodes: gradients, rounded to bfloat16; 0.1" in text
    assert json.loads((tmp_path / "again/summary.json").read_text())["digest"] == seen["bfloat16"]["digest"]
    assert 1e-5 < difference(tmp_path / "bfloat16", tmp_path / "float32") < 0.05
    assert seen["bfloat16"]["eval_accuracy"] == pytest.approx(seen["float32"]["eval_accuracy"], abs=0.02)
    assert seen["bfloat16"]["eval_accuracy"] > 0.9


@pytest.mark.parametrize(("num_ranks", "ranks_per_node"), [(4, 2), at_night(3, 2), at_night(4, 3), (5, 2)])
def test_several_nodes_have_the_same_bits_as_one(reproducible, tmp_path, num_ranks, ranks_per_node):
    # The ranks are on one machine, and are told that so many of them are a node.
    expected, one_rank = reproducible
    seen = train(num_ranks, tmp_path, REPRODUCIBLE, env={"DPNET_RANKS_PER_NODE": str(ranks_per_node)})
    assert {key: seen[key] for key in SAME} == {key: expected[key] for key in SAME}
    assert curve(tmp_path) == curve(one_rank)


def test_a_training_goes_on_on_several_nodes(reproducible, tmp_path):
    expected, one_rank = reproducible
    environ = {"DPNET_RANKS_PER_NODE": "2"}
    seen = train(4, tmp_path, REPRODUCIBLE, "--resume", one_rank / "checkpoints/step-00000030", env=environ)
    assert {key: seen[key] for key in SAME} == {key: expected[key] for key in SAME}


@pytest.mark.parametrize("name", sorted(wheels.WHEELS))
def test_every_library_of_products_has_the_same_bits_on_any_number_of_ranks(tmp_path, name):
    if not wheels.loads(name):
        pytest.skip(f"{name} is not installed; pip install 'dpnet[{wheels.WHEELS[name].extra}]'")
    # The layers are large enough for the library to be used.
    settings = [*REPRODUCIBLE, f"train.blas={name}", "model.hidden_layers=[512, 256]", "train.global_batch_size=256"]
    digests = {train(num_ranks, tmp_path / str(num_ranks), settings)["digest"] for num_ranks in (1, 3)}
    assert len(digests) == 1
    manifest = json.loads((tmp_path / "1/checkpoints/latest/manifest.json").read_text())
    assert manifest["numerics"]["products"] == name


def test_it_is_told_where_the_parameters_lie(tmp_path):
    step = ("--set", "train.steps=1")
    assert "memory one copy of the parameters for all ranks\n" in dpnet(2, "train", "--output", tmp_path / "a", *step)
    nodes = dpnet(3, "train", "--output", tmp_path / "b", *step, env={"DPNET_RANKS_PER_NODE": "2"})
    assert "memory one copy of the parameters for all ranks of a node\n" in nodes
    private = dpnet(2, "train", "--output", tmp_path / "c", *step, "--set", "train.shared_memory=false")
    assert "memory a copy of the parameters for each rank: train.shared_memory is off\n" in private


def test_memory_of_a_node_does_not_grow_with_its_ranks(tmp_path):
    # 4.2 million parameters: 16 MiB a vector, three of them for AdamW. Each rank adds a piece of the gradient, 4 MiB,
    # and some rows.
    script = tmp_path / "memory.py"
    script.write_text(MEMORY)
    pss = {n: float(run_ranks(n, [str(script)], timeout_s=100).ranks[0].split()[-1]) for n in (1, 4)}
    vector = 2048 * 2048 * 4 / 2**20
    assert pss[1] > 3 * vector, pss
    assert (pss[4] - pss[1]) / 3 < 0.6 * vector, pss


MEMORY = """
import re
import numpy as np
from dpnet.training.build import build_parts
from dpnet.comm.connect import connect
from dpnet.config.file import from_dict
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.training.prepare import prepare

def pss_mib():
    return int(re.search(r"^Pss: *([0-9]+)", open("/proc/self/smaps_rollup").read(), re.M)[1]) / 1024

group = connect()
source = DataSource("random", make_split(np.ones((64, 2048), np.float32), np.arange(64) % 4, "x", "y"), None)
job = from_dict({"model": {"hidden_layers": [2048]}, "train": {"global_batch_size": 8, "steps": 100}}, where="test")
setup = prepare(job, group, source, scaling=UNSCALED)  # What a compiler takes is not the training's.
before = sum(group.allgather(pss_mib()))
parts = build_parts(setup, source)
for step in range(3):
    parts.trainer.step(step)
group.barrier()
after = sum(group.allgather(pss_mib()))
if group.rank == 0: print(after - before)
group.barrier()
"""


@pytest.mark.parametrize("per_node", [2, 1])
def test_an_estimate_measures_nodes_by_themselves_and_the_network_between_them(per_node):
    settings = ["--set", "model.hidden_layers=[16]", "--seconds", "0.05", "--json", "--nodes", "1", "2", "4"]
    given = ["--bandwidth", "1Gbit"] if per_node == 2 else []
    text = dpnet(2, "estimate", *settings, *given, env={"DPNET_RANKS_PER_NODE": str(per_node)})
    found = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    assert (found["measured_on_nodes"], found["ranks_per_node"]) == (2 // per_node, per_node)
    assert (found["bandwidth_bytes_s"] == 125e6) == (per_node == 2)
    # As many samples as the node has on 1, 2 and 4 nodes; and with a batch 2 and 4 times as large on 4.
    assert {point["samples"] for point in found["measured"]} == {64, 32, 16}
    assert [row["nodes"] for row in found["nodes"]] == [1, 2, 4]
    assert all(row["step_s"] > row["exchange_s"] > 0 for row in found["nodes"][1:])
