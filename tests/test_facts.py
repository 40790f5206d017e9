"""What training supplies to losses: facts of the data, of the time and of the example."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from support import sampled

from lossbench import training
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.losses.early_learning import Elr
from lossbench.results.rescoring import task_of

torch.set_num_threads(1)
LOSSES = """
import torch
from torch import Tensor, nn

def elapsed(logits: Tensor, target: Tensor, /, *, progress: Tensor) -> Tensor:
    return progress + 0 * logits.sum(-1)

class Visits(nn.Module):
    def __init__(self, *, num_examples: int) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(num_examples))

    def forward(self, logits: Tensor, target: Tensor, /, *, index: Tensor) -> Tensor:
        self.seen.index_add_(0, index, torch.ones(len(index)))
        return self.seen[index] + 0 * logits.sum(-1)

def unmapped(logits: Tensor, target: Tensor, /, *, progress: Tensor, index: Tensor) -> Tensor:
    return progress.item() + index / 1e4 + 0 * logits.sum(-1)
"""
SHORT = "tracking=none trainer.device=cpu trainer.max_epochs=2 seeds=2"


def config_of(words: str):
    return configurations([*SHORT.split(), *words.split()])[0][0]


def trained(words: str, seeds=(0, 1)):
    """The rows and the curves of a training."""
    result = training.train(config_of(words), list(seeds))
    return result.seeds.drop(columns="best_epoch"), result.curves


def same(one, other):
    for a, b in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)


# ---- class_counts --------------------------------------------------------------------------------
def test_balanced_weights_are_of_the_training_split():
    """Of 240 training examples 24 are of class 1: N / (2 n_k), to the last bit of a list."""
    words = "dataset=rare_blobs dataset.samples=400 loss=cross_entropy loss.class_weight="
    same(trained(f"{words}balanced"), trained(f"{words}[{240 / 2 / 216},{240 / 2 / 24}]"))


# ---- progress, index -----------------------------------------------------------------------------
@pytest.fixture
def losses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(LOSSES)


def losses_of_epochs(words):
    """The mean training loss (epochs, seeds)."""
    _, curves = trained(words)
    rows = curves[curves.metric == "train/loss"]
    return rows.pivot(index="epoch", columns="seed", values="value").to_numpy()


@pytest.mark.parametrize("size", sampled([60, 32], 2))
def test_progress_is_the_share_of_steps_done_the_same_for_all_seeds(losses, size):
    """Of 107 training examples and two epochs, with the steps of the first counted on."""
    words = f"dataset=wine loss=mine.py:elapsed trainer.batch_size={size}"
    steps = -(-107 // size)
    shares = torch.arange(2 * steps).div(2 * steps).tensor_split(2)
    sizes = torch.tensor([len(part) for part in torch.arange(107).tensor_split(steps)])
    expected = torch.stack([(share * sizes).sum() / 107 for share in shares])
    found = torch.tensor(losses_of_epochs(words))
    torch.testing.assert_close(
        found, expected.double().unsqueeze(1).expand(2, 2), atol=1e-6, rtol=0
    )


def test_an_index_is_the_place_of_an_example_in_its_own_training_split(losses):
    """A memory that counts has counted each example once after an epoch, twice after two."""
    found = losses_of_epochs("dataset=wine loss=mine.py:Visits trainer.batch_size=32")
    assert found.tolist() == [[1, 1], [2, 2]]


def test_replicas_run_one_by_one_get_the_same_facts(losses):
    """The mean of indices 0 .. 106 and of the progress, of a loss that cannot be mapped."""
    result = training.train(config_of("dataset=wine loss=mine.py:unmapped"), [0, 1])
    assert not result.summary["mapped"]
    found = losses_of_epochs("dataset=wine loss=mine.py:unmapped trainer.batch_size=107")
    expected = torch.tensor([[0.0053] * 2, [0.5053] * 2]).double()
    torch.testing.assert_close(torch.tensor(found), expected, atol=1e-6, rtol=0)


CHANGING = "warm_up loss.first=cross_entropy loss.then=elr loss.start=0.5 loss.ramp=0.2"


@pytest.mark.parametrize("loss", sampled([CHANGING, "elr", "edl_digamma"], 3))
def test_a_seed_has_the_same_numbers_alone_among_others_and_in_chunks(loss):
    """Bit for bit, with a memory of each replica and a charge that grows."""
    words = f"dataset=wine corruption=label_noise loss={loss} seeds=3"
    result = training.train(config_of(words), [0, 1, 2])
    assert result.summary["mapped"]
    chunks = training.train(config_of(f"{words} trainer.max_replicas=2"), [0, 1, 2])
    alone = training.train(config_of(words), [1])
    for seed, other in ((0, chunks), (1, chunks), (2, chunks), (1, alone)):
        same(tables_of(result, seed), tables_of(other, seed))


def tables_of(result, seed):
    """The row and the curves of a seed."""
    return [t[t.seed == seed].reset_index(drop=True) for t in (result.seeds, result.curves)]


def test_what_elr_remembers_is_a_mean_of_what_was_predicted():
    """Updated before it is read, from 0, and not at all in an evaluation."""
    loss = Elr(num_classes=3, num_examples=5, momentum=0.5, strength=2.0).double()
    z, y = torch.tensor([[0.0, 1, 3], [2, 0, 0]], dtype=torch.float64), torch.tensor([2, 1])
    index, p = torch.tensor([4, 0]), torch.softmax(z, -1)
    for remembered in (p / 2, p / 2 + p / 4):
        value = loss(z, y, index=index)
        expected = -p.log()[[0, 1], y] + 2 * (1 - (remembered * p).sum(-1)).log()
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(loss.memory[index], remembered)
    assert not loss.memory[[1, 2, 3]].any()
    loss.eval()
    torch.testing.assert_close(loss(z, y, index=index), value)
    torch.testing.assert_close(loss.memory[index], remembered)


# ---- task.embedding_dim --------------------------------------------------------------------------
@pytest.mark.parametrize(
    "words", ["dataset=wine loss=arcface", "dataset=digit_identities loss=sup_con"]
)
def test_embeddings_are_as_long_as_asked_for(words):
    """Also in what is kept, from which metrics are computed again."""
    config = config_of(f"{words} task.embedding_dim=5 trainer.max_epochs=1 trainer.batch_size=512")
    assert training.make_recipe(config, training.data(config, [0])).output_shape == (5,)
    assert config.key != config_of(f"{words} trainer.max_epochs=1 trainer.batch_size=512").key
    result = training.train(config, [0])
    assert task_of(result).embedding_dim == 5
    if "identities" in words:
        assert result.predictions[0].load()["test"].shape[-1] == 5


def test_the_length_of_embeddings_is_refused_where_no_loss_has_any():
    """Of a task of classes it may be said of any loss, which is then compared with those."""
    config = config_of("dataset=wine loss=cross_entropy task.embedding_dim=5")
    notes = training.make_recipe(config, training.data(config, [0])).notes
    assert notes == ("loss=cross_entropy has no embeddings: task.embedding_dim=5 is not used.",)
    config = config_of("dataset=digit_identities loss=sup_con task.embedding_dim=5")
    assert not training.make_recipe(config, training.data(config, [0])).notes
    with pytest.raises(UserError, match=r"task\.embedding_dim=5: the task regression has no embed"):
        training.data(config_of("dataset=diabetes loss=huber task.embedding_dim=5"), [0])
