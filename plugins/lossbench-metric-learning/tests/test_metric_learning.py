"""The adapter gives what the library gives when it is called directly."""

from __future__ import annotations

import copy
import inspect
import re
from importlib.metadata import distribution

import pytest
import torch
from lossbench_metric_learning._library import MINERS
from metric_learning_table import TABLE

from lossbench import get_loss, run
from lossbench.testing import loss_checks

FACTS = {"num_classes": 4, "embedding_dim": 5}
TARGET = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])
ROWS = {row.name: row for row in TABLE}

for place, row in enumerate(TABLE):
    checks = loss_checks(row.name, task="embedding", expected_failures=row.cannot)
    globals()[f"test_{row.name}_is_valid"] = pytest.mark.slow(checks) if place % 3 else checks


def embeddings(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(8, 5, dtype=torch.float64, generator=generator)
    return drawn.requires_grad_()


def keywords(name):
    """The adapter's keywords: those that the task supplies, and hyper-parameters."""
    parameters = inspect.signature(get_loss(name, task="embedding")).parameters.values()
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    facts = [p.name for p in named if p.default is p.empty]
    return facts, {p.name: p.default for p in named if p.default is not p.empty}


def both(row, hyper):
    """The adapter's loss and the library's own, called with an embedding, a target and a miner."""
    ours = get_loss(row.name, task="embedding")
    if not inspect.isclass(ours):
        library = row.library(**hyper)
        return (lambda e, t, **miner: ours(e, t, **hyper, **miner)), library
    facts, _ = keywords(row.name)
    module = ours(**{fact: FACTS[fact] for fact in facts}, **hyper).double()
    sizes = {fact.replace("_dim", "_size"): FACTS[fact] for fact in facts}
    library = row.library(**sizes, **row.fixed, **hyper).double()
    library.load_state_dict(module.loss.state_dict())
    return module, library


def test_the_table_has_a_row_for_every_loss_that_is_registered():
    entries = distribution("lossbench-metric-learning").entry_points
    assert sorted(ROWS) == sorted(entries.select(group="lossbench.losses.embedding").names)


@pytest.mark.parametrize("name", ROWS)
def test_every_loss_has_a_formula(name):
    assert re.search(r"^L(_i)? = ", inspect.getdoc(get_loss(name, task="embedding")), re.MULTILINE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_keywords_and_defaults_are_the_librarys(row):
    known = {}
    for kind in reversed(row.library.__mro__[:-1]):
        known |= dict(inspect.signature(kind.__init__).parameters)
    for name, default in keywords(row.name)[1].items():
        assert name == "miner" or default == known[name].default


@pytest.mark.parametrize("chosen", ["default", "other"])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_value_and_gradient_are_the_librarys(row, chosen):
    ours, library = both(row, row.hyper if chosen == "other" else {})
    for seed in range(3):
        mine, theirs = embeddings(seed), embeddings(seed)
        values, expected = ours(mine, TARGET), library(theirs, TARGET)
        assert values.shape == ((len(TARGET),) if row.per_example else ())
        torch.testing.assert_close(values.mean(), expected.reshape(()))
        values.mean().backward()
        expected.backward()
        torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("name", [name for name in ROWS if "miner" in keywords(name)[1]])
def test_a_miner_is_the_librarys(name, miner):
    ours, library = both(ROWS[name], {})
    embedding = embeddings(4)
    expected = library(embedding, TARGET, MINERS[miner]()(embedding, TARGET))
    values = ours(embedding, TARGET, miner=miner)
    torch.testing.assert_close(values.mean(), expected.reshape(()))


@pytest.mark.parametrize("name", [name for name in ROWS if "miner" in keywords(name)[1]])
def test_every_miner_can_be_chosen_by_name(name):
    annotation = inspect.signature(get_loss(name, task="embedding")).parameters["miner"].annotation
    assert all(f'"{miner}"' in annotation.replace("'", '"') for miner in ["none", *MINERS])


@pytest.mark.parametrize("name", [name for name in ROWS if name != "pml_nca"])
def test_a_batch_without_positives_costs_something_finite(name):
    ours, _ = both(ROWS[name], {})
    embedding = embeddings(5)
    values = ours(embedding[:4], torch.arange(4))
    values.sum().backward()
    assert values.isfinite().all()
    assert embedding.grad.isfinite().all()


def test_nca_of_a_batch_without_positives_is_not_a_number_as_in_the_library():
    ours, library = both(ROWS["pml_nca"], {})
    assert ours(embeddings(5)[:4], torch.arange(4)).isnan()
    assert library(embeddings(5)[:4], torch.arange(4)).isnan()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_copy_of_a_module_does_not_share_its_weights(row):
    ours, _ = both(row, {})
    if isinstance(ours, torch.nn.Module):
        other = copy.deepcopy(ours)
        for weight in other.parameters():
            weight.data.add_(1)
        pairs = zip(ours.parameters(), other.parameters(), strict=True)
        assert not any(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "name",
    [
        "pml_arcface",
        pytest.param("pml_contrastive", marks=pytest.mark.slow),
        pytest.param("pml_multi_similarity", marks=pytest.mark.slow),
    ],
)
def test_it_trains_replica_by_replica_and_a_seed_alone_is_the_same(name, tmp_path):
    words = [f"loss={name}", "dataset=digit_identities", "trainer=short", "trainer.max_epochs=2"]
    together = run(*words, "seeds=[3,7]", f"results.dir={tmp_path}/together")
    alone = run(*words, "seeds=[7]", f"results.dir={tmp_path}/alone")
    assert not together.summary["mapped"]
    metrics = [column for column in alone.seeds if "/" in column]
    assert together.seeds.loc[1, metrics].tolist() == alone.seeds.loc[0, metrics].tolist()
    scores = together.curves[together.curves.metric == "val/recall_at_1"].groupby("epoch").value
    assert scores.mean().iloc[-1] > scores.mean().iloc[0]
