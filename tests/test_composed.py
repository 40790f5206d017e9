"""Losses that are made of others: sums, and losses that change with the share of training."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from lossbench import get_loss, registry, training
from lossbench.configuration import labels
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.registry.identity import code_of
from lossbench.results.sources import code_of_run
from lossbench.tasks import task_class
from lossbench.tasks.composed import loss_for, with_samples

torch.set_num_threads(1)
SHORT = "tracking=none trainer.device=cpu trainer.max_epochs=2 seeds=2 dataset=wine"
Z = torch.tensor([[0.5, -1.0, 2.0], [3.0, 0.0, -2.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
Y = torch.tensor([2, 1, 0])
COUNTS = [3, 40, 900]


def configs_of(words: str):
    return configurations([*SHORT.split(), *words.split()], sweep=True)[0]


def trained(words: str):
    """What a training leaves of every seed."""
    result = training.train(configs_of(words)[0], [0, 1])
    assert result.diverged == 0
    return result


# ---- values ------------------------------------------------------------------------------------
def log_p(row: int) -> float:
    """The log-probability of a row's class, by Python's own numbers."""
    z = [float(x) for x in Z[row]]
    return z[int(Y[row])] - math.log(sum(map(math.exp, z)))


def cross_entropy(row: int) -> float:
    return -log_p(row)


def focal(row: int, gamma: float = 2.0) -> float:
    return -((1 - math.exp(log_p(row))) ** gamma) * log_p(row)


def weight_of(row: int, beta: float) -> float:
    weights = [(1 - beta) / (1 - beta**n) for n in COUNTS]
    return weights[int(Y[row])] / (sum(weights) / len(weights))


BOTH = {"first": "cross_entropy", "then": "focal"}
AT = {"class_counts": torch.tensor(COUNTS)}

# loss, hyper-parameters and facts, value of a row
TABLE = [
    ("sum", {"terms": {"cross_entropy": 1}}, cross_entropy),
    ("sum", {"terms": {"cross_entropy": 2, "focal": 0.5}},
     lambda row: 2 * cross_entropy(row) + 0.5 * focal(row)),
    ("sum", {"terms": {"focal": {"weight": 3, "gamma": 1}}}, lambda row: 3 * focal(row, 1)),
    ("sum", {"terms": {"b": "cross_entropy", "a": {"name": "focal", "gamma": 0.5, "weight": -1}}},
     lambda row: cross_entropy(row) - focal(row, 0.5)),
    ("sum", {"terms": {"a": {"name": "sum", "terms": {"focal": 2}, "weight": 3}, "focal": 1}},
     lambda row: 7 * focal(row)),
    ("warm_up", {**BOTH, "progress": 0.0}, cross_entropy),
    ("warm_up", {**BOTH, "progress": 0.0, "start": 0.0}, focal),
    ("warm_up", {**BOTH, "progress": 0.499, "start": 0.5}, cross_entropy),
    ("warm_up", {**BOTH, "progress": 0.5, "start": 0.5}, focal),
    ("warm_up", {**BOTH, "progress": 0.5, "start": 0.5, "ramp": 0.5}, cross_entropy),
    ("warm_up", {**BOTH, "progress": 0.6, "start": 0.5, "ramp": 0.4},
     lambda row: 0.75 * cross_entropy(row) + 0.25 * focal(row)),
    ("warm_up", {**BOTH, "progress": 1.0, "ramp": 0.5}, focal),
    ("warm_up", {**BOTH, "then": {"name": "focal", "gamma": 0, "weight": 2}, "progress": 1.0},
     lambda row: 2 * cross_entropy(row)),
    ("deferred_reweighting", {"progress": 0.79, **AT}, cross_entropy),
    ("deferred_reweighting", {"progress": 0.8, **AT},
     lambda row: weight_of(row, 0.9999) * cross_entropy(row)),
    ("deferred_reweighting", {"progress": 1.0, "beta": 0.5, "of": "focal", **AT},
     lambda row: weight_of(row, 0.5) * focal(row)),
    ("deferred_reweighting", {"progress": 1.0, "beta": 0.0, **AT}, cross_entropy),
    ("deferred_reweighting", {"progress": 0.0, "start": 0.0, "beta": 0.9, **AT},
     lambda row: weight_of(row, 0.9) * cross_entropy(row)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "value"), TABLE)
def test_the_value_is_that_of_the_formula(name, given, value):
    """In float64 to 1e-9, by a loop over Python's numbers."""
    done = given.get("progress")
    facts = {} if done is None else {"progress": torch.tensor(done, dtype=torch.float64)}
    values = get_loss(name, task="multiclass")(Z, Y, **{**given, **facts})
    expected = torch.tensor([value(row) for row in range(3)], dtype=torch.float64)
    torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", registry.names("task"))
def test_in_every_task_a_sum_is_that_of_its_weighted_terms(name):
    """Of two losses of the task that fit each other, on the task's example."""
    task = task_class(name).small()
    plugin = with_samples(registry.find_for_task("sum", name), task)
    composed = loss_for(plugin, registry.load(plugin), task)
    prediction, target = task.example(task.outputs_of(composed.declaration))
    known = task.facts(target)
    facts = {fact: known[fact] for fact in registry.facts(plugin, needed=True)}
    expected = sum(
        part.weight * registry.load(part.plugin)(prediction, target, **facts)
        for part in plugin.parts
    )
    assert len(plugin.parts) == 2 or name in ("generative", "pairs")  # which have one loss
    torch.testing.assert_close(composed(prediction, target, **facts), expected)


def test_weights_of_classes_keep_their_digits_in_float32():
    """With beta so near 1 that float32 has 1 - beta to three digits."""
    loss = get_loss("deferred_reweighting", task="multiclass")
    given = {**AT, "progress": torch.tensor(1.0), "beta": 0.99999}
    torch.testing.assert_close(
        loss(Z.float(), Y, **given).double(), loss(Z, Y, **given), rtol=1e-6, atol=0
    )


def test_a_number_for_the_batch_is_added_to_each_example():
    logits, target = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 0.0, 0.0])
    loss = get_loss("sum", task="binary")
    parts = [get_loss(name, task="binary") for name in ("cross_entropy", "pairwise_hinge")]
    each, whole = (part(logits, target) for part in parts)
    found = loss(logits, target, terms={"cross_entropy": 1, "pairwise_hinge": 2})
    torch.testing.assert_close(found, each + 2 * whole)
    assert loss(logits, target, terms={"pairwise_hinge": 1}).shape == ()


@pytest.mark.parametrize("number", [0.5, np.float64(0.5), np.float32(0.5), torch.tensor(0.5)])
def test_weights_and_hyper_parameters_may_be_numbers_of_any_library(number):
    """Those that a search hands over are NumPy's."""
    logits, target = torch.tensor([0.5, -1.0]), torch.tensor([1.0, 0.0])
    focal = get_loss("focal", task="binary")
    loss = get_loss("sum", task="binary")
    terms = {"focal": number, "other": {"name": "focal", "weight": number, "gamma": number}}
    expected = 0.5 * focal(logits, target) + 0.5 * focal(logits, target, gamma=0.5)
    torch.testing.assert_close(loss(logits, target, terms=terms), expected)
    torch.testing.assert_close(
        focal(logits, target, gamma=number), focal(logits, target, gamma=0.5)
    )


@pytest.mark.parametrize(("done", "sound"), [(0.0, "first"), (1.0, "then")])
def test_a_loss_whose_turn_it_is_not_may_be_nan(done, sound, tmp_path):
    """Neither in the value nor in the gradient."""
    (tmp_path / "own.py").write_text(
        "import torch\ndef root(logits, target, /):\n    return (logits.sum(-1) - 99).sqrt()\n"
    )
    other = {"first": "then", "then": "first"}[sound]
    given = {sound: "cross_entropy", other: {"name": f"{tmp_path}/own.py:root"}}
    leaf = Z.clone().requires_grad_()
    values = get_loss("warm_up", task="multiclass")(leaf, Y, progress=torch.tensor(done), **given)
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    plain = get_loss("cross_entropy", task="multiclass")
    torch.testing.assert_close(values, plain(Z, Y))
    torch.testing.assert_close(gradient, torch.func.grad(lambda z: plain(z, Y).sum())(Z))


# ---- training ------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["focal", "elr", "arcface", "torch.nn:CrossEntropyLoss"])
def test_one_term_of_weight_1_trains_as_that_loss_to_the_last_bit(name):
    """A function, a memory of examples, weights of its own, and a loss of a library."""
    one, other = (trained(w) for w in (f"loss={name}", f"loss=sum loss.terms.a.name={name}"))
    assert other.summary["mapped"]
    for a, b in ((one.seeds, other.seeds), (one.curves, other.curves)):
        pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_before_its_start_a_loss_that_changes_trains_as_the_first_and_then_otherwise():
    """With two epochs and a start of one half the first epoch is the same, and not the second."""
    plain = trained("loss=cross_entropy").curves
    same = (plain.metric == "train/loss") & (plain.epoch == 1)
    for words in (
        "loss=warm_up loss.first=cross_entropy loss.then=brier loss.start=0.5",
        "loss=deferred_reweighting loss.start=0.5 loss.beta=0.9",
    ):
        changed = trained(words).curves
        pd.testing.assert_frame_equal(plain[plain.epoch < 2], changed[changed.epoch < 2])
        assert same.any()
        last = (plain.metric == "train/loss") & (plain.epoch == 2)
        assert (plain.value[last] != changed.value[last]).all()


def test_terms_of_one_replica_have_facts_of_its_own_in_a_module():
    """A term that is balanced by each seed's training classes next to one with a memory."""
    words = "corruption=rare_classes loss=sum loss.terms.elr=0 loss.terms.cross_entropy=1"
    words += " loss.terms.cross_entropy.class_weight=balanced"
    plain = "corruption=rare_classes loss=cross_entropy loss.class_weight=balanced"
    one, other = trained(words), trained(plain)
    pd.testing.assert_frame_equal(one.curves, other.curves, atol=1e-5, rtol=1e-5)


def test_estimates_are_those_of_the_link_that_is_named():
    """A weight of 0 leaves a term without say but for its link."""
    words = "loss=sum loss.terms.edl_log=0 loss.terms.cross_entropy=1 loss.link="
    evidence, softmax = (
        trained(f"{words}{name}").seeds["test/log_loss"] for name in ("edl_log", "cross_entropy")
    )
    assert np.array_equal(softmax, trained("loss=cross_entropy").seeds["test/log_loss"])
    assert (evidence != softmax).all()


# ---- what is configured --------------------------------------------------------------------------
A_B = "loss=sum loss.terms.cross_entropy=1 loss.terms.focal=0.5"
# words, other words, whether they are the same setting
KEYS = [
    (A_B, "loss=sum loss.terms.focal=0.5 loss.terms.cross_entropy=1", True),
    (A_B, "loss=sum loss.terms={focal:0.5,cross_entropy:1}", True),
    (A_B, f"{A_B} loss.terms.focal.gamma=2", True),
    (A_B, "loss=sum loss.terms.focal.weight=0.5 loss.terms.cross_entropy=cross_entropy", True),
    (A_B, f"{A_B} loss.terms.focal.gamma=1", False),
    (A_B, f"{A_B} loss.terms.focal=0.6", False),
    (A_B, f"{A_B} loss.terms.poly=1", False),
    (A_B, f"{A_B} loss.link=focal", False),
    ("loss=deferred_reweighting", "loss=deferred_reweighting loss.of=cross_entropy", True),
    ("loss=deferred_reweighting", "loss=deferred_reweighting loss.of=focal", False),
    ("loss=deferred_reweighting loss.of=focal",
     "loss=deferred_reweighting loss.of=focal loss.of.gamma=3", False),
]  # fmt: skip


@pytest.mark.parametrize(("words", "others", "same"), KEYS)
def test_a_key_knows_terms_weights_and_hyper_parameters_and_no_order(words, others, same):
    (one,), (other,) = configs_of(words), configs_of(others)
    assert (one.key == other.key) is same
    assert one.setting == other.setting


def test_the_words_configure_the_same_again():
    words = f"{A_B} loss.terms.a.name=warm_up loss.terms.a.first=poly loss.terms.a.then=focal"
    (config,) = configs_of(f"{words} loss.terms.a.then.gamma=3")
    assert configurations(config.words)[0][0].numbers == config.numbers


SWEEPS = [
    (f"{A_B} loss.terms.focal.weight=0.5,1", [
        "sum focal.weight=0.5", "sum focal.weight=1.0",
    ]),
    ("loss=sum,poly loss.sum.terms.cross_entropy=1 loss.sum.terms.focal.gamma=1,2", [
        "sum focal.gamma=1.0", "sum focal.gamma=2.0", "poly",
    ]),
    ("loss=sum loss.terms={focal:1},{poly:2}", ["sum terms=focal", "sum terms=poly"]),
    ("loss=warm_up loss.first=cross_entropy loss.then=focal,brier", [
        "warm_up then=focal", "warm_up then=brier",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "wanted"), SWEEPS)
def test_losses_made_of_others_are_called_by_what_differs(words, wanted):
    configs = configs_of(words)
    assert labels(configs) == wanted
    assert len({config.key for config in configs}) == len(configs)


def test_a_file_of_yaml_holds_a_sum_whose_values_can_be_changed(tmp_path):
    (tmp_path / "loss").mkdir()
    text = "defaults: [sum]\nterms: {cross_entropy: 1, soft: {name: focal, gamma: 3}}\n"
    (tmp_path / "loss" / "mine.yaml").write_text(text)
    words = ["loss=mine,poly", "loss.mine.terms.soft.gamma=1,2"]
    configs, _ = configurations(words, sweep=True, config_dir=str(tmp_path))
    soft = [c.loss.values["terms"]["soft"] for c in configs[:2]]
    assert [(each["name"], each["weight"], each["gamma"]) for each in soft] == [
        ("focal", 1.0, 1.0),
        ("focal", 1.0, 2.0),
    ]


def test_an_experiment_may_hold_terms(here):
    folder = here / "experiments" / "mine"
    folder.mkdir(parents=True)
    text = "overrides:\n  loss: sum\n  loss.terms.cross_entropy: 1\n  loss.terms.f: focal\n"
    (folder / "experiment.yaml").write_text(text + "  loss.terms.f.gamma: [1, 2]\n")
    configs, _ = configurations(["experiment=mine"])
    assert labels(configs) == ["sum f.gamma=1.0", "sum f.gamma=2.0"]


def test_the_code_of_every_term_is_kept_and_a_file_counts_by_its_code(tmp_path):
    file = tmp_path / "own.py"
    keys = []
    for factor in (1, 2):
        file.write_text(f"def own(logits, target, /):\n    return {factor} * logits.sum(-1)\n")
        registry.refresh()
        (config,) = configs_of(f"loss=sum loss.terms.focal=1 loss.terms.a.name={file}:own")
        assert config.has_files
        keys.append(config.key)
    assert keys[0] != keys[1]
    parts = ("sum", "focal", f"{file}:own")
    codes = [code_of(registry.find_for_task(name, "multiclass")) for name in parts]
    kept = code_of_run(config, "multiclass")["loss"]
    assert all(code in kept for code in codes)


def test_a_loss_of_one_s_own_may_be_made_of_others(tmp_path):
    """By a parameter that is annotated as Loss."""
    (tmp_path / "own.py").write_text(
        "from torch import Tensor\nfrom lossbench.contract import Loss\n"
        "def halved(logits: Tensor, target: Tensor, /, *, of: Loss, part: float = 0.5) -> Tensor:\n"
        "    return part * of(logits, target)\n"
    )
    name = f"{tmp_path}/own.py:halved"
    values = get_loss(name, task="multiclass")(Z, Y, of={"name": "focal", "gamma": 1})
    expected = torch.tensor([focal(row, 1) / 2 for row in range(3)], dtype=torch.float64)
    torch.testing.assert_close(values, expected)
    result = trained(f"loss={name} loss.of=cross_entropy")
    assert result.summary["mapped"]


def test_how_a_term_of_a_library_is_given_a_batch_is_said():
    result = trained("loss=sum loss.terms.cross_entropy=1 loss.terms.nll.name=torch.nn:NLLLoss")
    words = (
        "loss=torch.nn:NLLLoss is given logarithms of the estimates and targets, reduction=none."
    )
    assert words in result.summary["notes"]


# ---- what is refused -----------------------------------------------------------------------------
REFUSED = [
    ("loss=sum", "loss.terms: expected losses by name"),
    ("loss=sum loss.terms=3", "loss.terms=3: expected losses by name"),
    ("loss=sum loss.terms.focall=1", "Did you mean focal?"),
    ("loss=sum loss.terms.focal.gama=1", "loss.terms.focal.gama: there is no such key"),
    ("loss=sum loss.terms.focal.gamma=-1", "loss.terms.focal.gamma=-1.0: expected a number in"),
    ("loss=sum loss.terms.focal.weight=a", "loss.terms.focal.weight=a: expected a number"),
    ("loss=sum loss.terms.focal.gamma.x=1", "loss.terms.focal.gamma.x: there is no such key"),
    ("loss=sum loss.terms.name=focal", "other than name and weight"),
    ("loss=focal loss.terms.poly=1", "loss=terms is not chosen"),
    ("loss=sum,poly loss.terms.focal=1", "loss.sum.terms.focal=1"),
    ("loss=warm_up loss.first=focal", "loss.then is required"),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED)
def test_a_wrong_request_is_refused_in_words(words, reason):
    with pytest.raises(UserError, match=reason.replace(".", r"\.").replace("?", r"\?")):
        configs_of(words)


UNFIT = [
    ("loss.terms.dice=1", "loss=dice is for the task segmentation"),
    ("loss.terms.edl_log=1 loss.terms.focal=1", "different links. Say whose estimates"),
    ("loss.terms.edl_log=1 loss.link=focal", "loss.link=focal: expected one of the losses"),
    ("loss.terms.arcface=1 loss.terms.focal=1", "arcface and focal need different outputs"),
    ("loss.terms.arcface=1 loss.terms.center=1", "arcface and center have different links"),
    ("loss.terms.focal=1 loss.terms.focal.alpha=[1,2]", r"loss.terms.focal.alpha=\[1.0, 2.0\]"),
    ("loss.terms.gaussian_nll=1 loss.terms.squared_error=1 dataset=diabetes",
     "need 2 and 1 outputs per target"),
    ("loss.terms.gamma=1 loss.terms.poisson=1 dataset=count_regression",
     r"loss=sum needs targets in \(0, inf\)"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "reason"), UNFIT)
def test_terms_that_do_not_fit_each_other_or_the_data_are_refused(words, reason):
    (config,) = configs_of(f"loss=sum {words}")
    with pytest.raises(UserError, match=reason):
        training.train(config, [0])
