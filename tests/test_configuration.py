"""What a configuration is for its result: key, setting, data, names and words."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from typing import Any

import pytest
from made_results import BASE, result
from omegaconf import OmegaConf

from lossbench.comparison import compare
from lossbench.configuration import Choice, Configuration, labels, names, validated
from lossbench.configuration.composition import load_yaml
from lossbench.configuration.experiments import configurations, short_words
from lossbench.configuration.settings import SECTIONS
from lossbench.contract import UserError
from lossbench.registry.kinds import CHOICES

BASIC = ["dataset=wine", "loss=focal", "tune.trials=2", "corruption=label_noise"]
# Another value for each field of the record, and for each section or plugin a part of it.
ANOTHER: dict[str, dict[str, Any]] = {
    "trainer": {
        "max_epochs": 7,
        "batch_size": 9,
        "sampler": "balanced",
        "clip_norm": 0.5,
        "device": "gpu",
        "precision": "64-true",
        "max_replicas": 3,
        "checkpoint": 5,
        "peek": True,
    },
    "task": {"embedding_dim": 8, "unit": "target"},
    "tune": {"trials": 3, "seeds": 4, "sampler": "tpe", "at": "best"},
    "tracking": {"uri": None, "experiment": "other"},
    "results": {"dir": "elsewhere", "predictions": 0.0, "models": True},
    "launcher": {"workers": 1, "timeout": 60.0, "retries": 0},
    "settle": {"most_seeds": 30, "margin": 0.01, "looks": 3},
}
NO_NUMBERS = {"seeds", "metrics"}
NO_NUMBERS |= {
    f"{s}.{k}" for s in ("tracking", "results", "launcher", "settle") for k in ANOTHER[s]
}
NO_NUMBERS |= {f"trainer.{k}" for k in ("device", "max_replicas", "checkpoint", "peek")}


@pytest.fixture(scope="module")
def config() -> Configuration:
    return configurations(BASIC)[0][0]


def variants(config: Configuration) -> dict[str, Configuration]:
    """The configuration with one thing changed, by what was changed."""
    changed = {
        "seeds": replace(config, seeds=(0, 1)),
        "metric": replace(config, metric="log_loss"),
        "metrics": replace(config, metrics=("mine.py:f",)),
    }
    for kind in CHOICES:
        choice = config.choice(kind)
        changed[kind] = replace(config, **{kind: Choice("other", choice.values)})
        for key in choice.values:
            value = __file__ if key == "weights" else "another"  # a file's content counts
            values = {**choice.values, key: value}
            changed[f"{kind}.{key}"] = replace(config, **{kind: Choice(choice.name, values)})
    for section, values in ANOTHER.items():
        for key, value in values.items():
            part = getattr(config, section)
            if section == "launcher":  # the one section whose keys are its plugin's
                part = Choice(part.name, {**part.values, key: value})
            else:
                part = replace(part, **{key: value})
            changed[f"{section}.{key}"] = replace(config, **{section: part})
    return changed


def test_every_field_of_every_section_is_looked_at_here():
    assert {name: {f.name for f in fields(record)} for name, record in SECTIONS.items()} == {
        name: set(values) for name, values in ANOTHER.items()
    }


def test_the_key_changes_exactly_where_numbers_do(config):
    same = {name for name, other in variants(config).items() if other.key == config.key}
    assert same == NO_NUMBERS


def test_the_setting_is_the_numbers_without_the_loss_and_its_tuning(config):
    same = {name for name, other in variants(config).items() if other.setting == config.setting}
    assert same == NO_NUMBERS | {"loss", "loss.gamma", "loss.alpha", "task.unit"} | {
        f"tune.{k}" for k in ANOTHER["tune"]
    }


def test_data_are_the_dataset_and_its_corruption(config):
    differ = {name for name, other in variants(config).items() if other.data != config.data}
    assert {name.partition(".")[0] for name in differ} == {"dataset", "corruption"}


def test_tables_are_split_exactly_where_settings_differ(config):
    for name, other in variants(config).items():
        first, second = result("cross_entropy", BASE), result("focal", BASE + 0.01)
        first.summary["numbers"], second.summary["numbers"] = config.numbers, other.numbers
        expected = 1 if other.setting == config.setting else 2
        assert len(compare([first, second])) == expected, name


def test_without_trials_the_rest_of_the_tuning_counts_for_nothing(config):
    untuned = replace(config, tune=replace(config.tune, trials=0))
    assert untuned.key != config.key
    assert replace(untuned, tune=replace(untuned.tune, seeds=9)).key == untuned.key


def test_a_null_counts_like_a_parameter_that_is_not_there(config):
    added = Choice("focal", {**config.loss.values, "later": None})
    assert replace(config, loss=added).key == config.key


def test_a_kind_of_plugin_that_came_later_counts_only_where_it_is_not_at_its_default(config):
    assert (config.schedule.name, config.augmentation.name) == ("constant", "none")
    later = ("schedule", "augmentation")
    before = {name: part for name, part in config.mapping.items() if name not in later}
    assert Configuration.read(before) == config
    assert not {*later} & {*config.numbers}
    assert replace(config, schedule=Choice("cosine", {"end": 0.1})).numbers["schedule"] == {
        "name": "cosine",
        "end": 0.1,
    }


def test_a_file_counts_by_its_content_and_not_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.csv").write_text("a,b\n1,2\n")
    (tmp_path / "same.csv").write_text("a,b\n1,2\n")
    (tmp_path / "other.csv").write_text("a,b\n1,3\n")

    def key(path: object) -> str:
        words = ["dataset=csv", "dataset.target=b", f"dataset.path='{path}'"]
        return configurations(words)[0][0].key

    assert key("my.csv") == key("./my.csv") == key(tmp_path / "my.csv") == key("same.csv")
    assert key("my.csv") != key("other.csv")


def test_a_plugin_file_counts_by_its_code_and_not_by_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "def f(logits, target, /):\n    return logits.sum(-1)\n"
    (tmp_path / "own").mkdir()
    for place in ("mine.py", "own/mine.py"):
        (tmp_path / place).write_text(text)
    places = ("mine.py", "./own/mine.py", tmp_path / "mine.py")
    assert len({configurations([f"loss={place}:f"])[0][0].key for place in places}) == 1
    (tmp_path / "own" / "mine.py").write_text(text.replace("-1", "0"))
    assert len({configurations([f"loss={place}:f"])[0][0].key for place in places}) == 2


def test_the_mapping_is_read_back_as_it_was(config):
    assert Configuration.read(config.mapping) == config
    assert validated(config.mapping) == config


def test_the_words_configure_the_same_again():
    words = ["loss=focal", "loss.gamma=1.5", "seeds=[3,7]", "metric=log_loss", "metrics=[ece]"]
    (config,), _ = configurations([*words, "corruption=imbalance", "optimizer=sgd"])
    assert configurations(config.words)[0] == [config]


ASKED = [
    "loss=cross_entropy dataset=digits",
    "dataset=heavy_tails loss=huber loss.delta=2.0 seeds=10 trainer.max_epochs=5",
    "dataset=csv dataset.path=my.csv dataset.target=y loss=focal optimizer=sgd optimizer.lr=0.1",
    "dataset=digits loss=sum loss.terms.focal.gamma=1.5 loss.terms.poly=0.5 metric=log_loss",
    "dataset=digits loss=focal corruption=label_noise corruption.rate=0.3 metrics=[ece]",
]


@pytest.mark.parametrize("asked", ASKED)
def test_the_short_words_configure_the_same_again(asked):
    (config,), _ = configurations(asked.split())
    words = short_words(config)
    assert configurations(words)[0] == [config]
    assert len(" ".join(words)) < 240


def test_what_is_no_more_installed_has_all_its_words(config):
    gone = replace(config, model=replace(config.model, name="gone"))
    assert short_words(gone) == gone.words


SWEEPS = [
    (
        "loss=cross_entropy,focal loss.focal.gamma=1,2",
        ["cross_entropy", "focal gamma=1.0", "focal gamma=2.0"],
    ),
    ("loss=focal loss.gamma=1,2 loss.focal.gamma=3", ["focal"]),
    ("loss=poly,focal loss.poly.epsilon=[1],[2] loss.focal.gamma=3", [
        "poly epsilon=[1.0]", "poly epsilon=[2.0]", "focal",
    ]),
    ("loss=glob(foca?) loss.focal.gamma=1,2", ["focal gamma=1.0", "focal gamma=2.0"]),
    ("loss.cross_entropy.class_weight=null", ["cross_entropy"]),
    ("optimizer=sgd,adam optimizer.sgd.lr=0.1,0.2", ["cross_entropy"] * 3),
]  # fmt: skip


@pytest.mark.parametrize(("words", "wanted"), SWEEPS, ids=[words for words, _ in SWEEPS])
def test_values_for_one_loss_multiply_no_other(words, wanted):
    configs, _ = configurations(words.split(), sweep=True)
    assert labels(configs) == wanted
    assert all(configurations(each.words)[0] == [each] for each in configs)


def test_values_for_a_loss_in_a_file_go_by_its_name(tmp_path):
    (tmp_path / "own.py").write_text("def f(logits, target, /, *, power: float = 1.0): ...\n")
    words = [f"loss=focal,{tmp_path}/own.py:f", "loss.f.power=1,2"]
    values = [config.loss.values for config in configurations(words, sweep=True)[0]]
    assert values == [{"gamma": 2.0, "alpha": None}, {"power": 1.0}, {"power": 2.0}]


def test_an_experiment_may_give_values_for_one_loss_and_the_command_line_leave_it_out(here):
    folder = here / "experiments" / "mine"
    folder.mkdir(parents=True)
    text = "overrides: {loss.focal.gamma: [1, 2]}\nsweeps: [{loss: [brier, focal]}, {loss: poly}]\n"
    (folder / "experiment.yaml").write_text(text)
    asked = {
        "": ["brier", "focal gamma=1.0", "focal gamma=2.0", "poly"],
        "loss=poly": ["poly"],
        "loss.focal.gamma=3": ["brier", "focal", "poly"],
    }
    for word, wanted in asked.items():
        configs, _ = configurations(["experiment=mine", *word.split()])
        assert labels(configs) == wanted


@pytest.mark.parametrize("word", ["loss.poly.epsilon=abc", "loss.focal.gamma=-1.0"])
def test_a_value_for_one_loss_is_refused_by_the_key_as_it_was_typed(word):
    with pytest.raises(UserError, match=f"^{word}: expected "):
        configurations(["loss=cross_entropy,poly,focal", word], sweep=True)


def test_a_run_is_named_by_its_loss_its_dataset_and_what_differs():
    words = ["loss=focal", "loss.gamma=1,2", "optimizer.lr=0.1,0.2", "dataset=wine"]
    configs, _ = configurations(words, sweep=True)
    assert names(configs)[0] == "focal gamma=1.0 on wine, lr=0.1"
    assert names(configs)[3] == "focal gamma=2.0 on wine, lr=0.2"
    assert labels(configs) == ["focal gamma=1.0"] * 2 + ["focal gamma=2.0"] * 2


def test_an_unknown_metric_key_is_refused_by_type():
    for word in ("metric=3", "metrics=ece"):
        with pytest.raises(Exception, match=word.partition("=")[0]):
            configurations([word])


def test_the_shown_setting_reads_no_file_and_runs_no_code(tmp_path):
    """Results can be compared where their data and plugins are no longer."""
    mapping = configurations(["dataset=digits"])[0][0].mapping
    gone = {"name": "csv", "path": str(tmp_path / "gone.csv"), "target": "y"}
    config = Configuration.read({**mapping, "dataset": gone, "model": {"name": "gone.py:f"}})
    assert config.shown_setting["dataset"] == gone
    assert "loss" not in config.shown_setting


def test_a_file_that_is_edited_between_two_requests_is_read_again(tmp_path):
    """What Hydra composed is kept while the files are as they were, and where a fault stands."""
    file = tmp_path / "trainer" / "mine.yaml"
    file.parent.mkdir()

    def epochs(text: str, moment: int) -> int:
        file.write_text(f"defaults: [default]\nmax_epochs: {text}\n")
        os.utime(file, (moment, moment))
        (config,), _ = configurations(["trainer=mine"], config_dir=str(tmp_path))
        return config.trainer.max_epochs

    assert (epochs("3", 1), epochs("4", 2), epochs("4", 2)) == (3, 4, 4)
    for _ in range(2):
        with pytest.raises(UserError, match=r"mine.yaml:2: trainer.max_epochs"):
            epochs("0", 3)


@pytest.mark.parametrize(
    "value", ["1e-3", "1.5e3", "-1E5", "12", "1.", "0.1", "0x1F", "1e", "012x", "true", "~", "a: b"]
)
def test_a_file_of_an_experiment_means_what_it_would_mean_to_hydra(value, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(f"key: {value!r}\nplain: {value if ':' not in value else 0}\n")
    assert load_yaml(file) == OmegaConf.to_container(OmegaConf.load(file))


NULLS = [  # a dataset, an override, and whether it says what null stands for
    ("wine", "metric=accuracy", True),
    ("blobs", "metric=accuracy", True),  # of two classes or more: either task's
    ("blobs", "metric=log_loss", False),
    ("diabetes", "metric=root_mean_squared_error", True),
    ("digit_identities", "task.embedding_dim=16", True),
    ("digit_identities", "task.embedding_dim=8", False),
    ("wine", "task.embedding_dim=16", True),
    ("blobs", "task.embedding_dim=16", False),  # which one of its tasks does not have
    ("csv", "metric=accuracy", False),  # its task is known when it was read
]


@pytest.mark.parametrize(("dataset", "word", "same"), NULLS, ids=lambda value: str(value))
def test_saying_what_null_stands_for_changes_no_key(dataset, word, same):
    mapping = configurations(["dataset=wine"])[0][0].mapping
    null = Configuration.read({**mapping, "dataset": {"name": dataset}})
    section, _, value = word.partition("=")
    said = {section: value} if section == "metric" else {"task": {"embedding_dim": int(value)}}
    other = Configuration.read({**null.mapping, **said})
    assert (other.key == null.key) == same
    assert (other.setting == null.setting) == same
