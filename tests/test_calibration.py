"""Metrics that runs have where they are named: temperature scaling, recall by class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import optimize
from sklearn.metrics import balanced_accuracy_score, log_loss, recall_score

from lossbench import training
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.metrics import metrics_of
from lossbench.results.rescoring import with_metrics
from lossbench.tasks import calibration
from lossbench.tasks.binary import Binary
from lossbench.tasks.multiclass import Multiclass
from lossbench.tasks.regression import Regression

RNG = np.random.default_rng(0)
LOGITS = torch.from_numpy(3 * RNG.standard_normal((2, 500, 4)))
LABELS = torch.from_numpy(RNG.integers(0, 4, (2, 500)))
NAMED = ["adaptive_ece", "scaled_ece", "temperature", "worst_recall", "recall_few", "recall_many"]


def labels_at(temperature: float) -> torch.Tensor:
    """Drawn from softmax(logits / T)."""
    chances = torch.softmax(LOGITS / temperature, -1).flatten(0, 1)
    generator = torch.Generator().manual_seed(0)
    return torch.multinomial(chances, 1, generator=generator).reshape(2, 500)


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_is_that_of_a_bounded_search(true):
    """By SciPy, on the log loss of scikit-learn; near the one that labels were drawn with."""
    labels, estimate = labels_at(true), torch.softmax(LOGITS, -1)
    fitted = calibration.fit_temperature(estimate, labels)
    for replica in range(2):

        def loss(t: float, row: int = replica) -> float:
            return log_loss(labels[row], torch.softmax(LOGITS[row] / t, -1), labels=range(4))

        best = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x
        assert fitted[replica] == pytest.approx(best, rel=1e-3)
        assert fitted[replica] == pytest.approx(true, rel=0.2)
    scaled = calibration.scaled_log_loss(estimate, labels, temperature=fitted)
    assert scaled[0] == pytest.approx(
        log_loss(labels[0], torch.softmax(LOGITS[0] / fitted[0], -1), labels=range(4))
    )


def test_a_model_of_two_classes_has_the_temperature_of_its_two_probabilities():
    p = torch.sigmoid(LOGITS[..., 0])
    label = (torch.rand(2, 500) < 0.5).long()
    one = calibration.fit_temperature(p, label)
    assert torch.allclose(one, calibration.fit_temperature(torch.stack([1 - p, p], -1), label))


def test_right_answers_only_have_the_least_temperature_that_is_looked_for():
    estimate = torch.softmax(5 * torch.eye(4)[LABELS], -1)
    assert calibration.fit_temperature(estimate, LABELS) == pytest.approx(0.01)


def test_adaptive_bins_hold_as_many_examples_each():
    """By a loop over sorted examples; where all have one confidence it is a single gap."""
    estimate = torch.softmax(LOGITS, -1)
    confidence, predicted = (part.numpy() for part in estimate[0].max(-1))
    order = np.argsort(confidence)
    correct = (predicted == LABELS[0].numpy()).astype(float)
    gaps = [abs((correct - confidence)[part].sum()) for part in np.array_split(order, 15)]
    assert calibration.adaptive_ece(estimate, LABELS)[0] == pytest.approx(sum(gaps) / 500)


def test_recalls_are_those_of_scikit_learn_in_thirds_by_training_counts():
    estimate = torch.softmax(LOGITS, -1)
    recalls = recall_score(LABELS[0], estimate[0].argmax(-1), average=None)
    counts = torch.tensor([[5, 50, 500, 20], [1, 2, 3, 4]])
    assert calibration.worst_recall(estimate, LABELS)[0] == pytest.approx(recalls.min())
    for metric, classes in (("many", [2, 1]), ("medium", [3]), ("few", [0])):
        value = getattr(calibration, f"recall_{metric}")(estimate, LABELS, class_counts=counts)
        assert value[0] == pytest.approx(recalls[classes].mean()), metric


def test_adjusted_decisions_are_those_of_logits_less_the_logarithm_of_sizes():
    """Of several classes and of two; an empty class counts as one example."""
    counts = torch.tensor([[5, 50, 500, 20], [0, 1, 2, 4]])
    shifted = LOGITS - counts.clamp(min=1).double().log()[:, None]
    value = calibration.adjusted_balanced_accuracy(
        torch.softmax(LOGITS, -1), LABELS, class_counts=counts
    )
    for replica in range(2):
        expected = balanced_accuracy_score(LABELS[replica], shifted[replica].argmax(-1))
        assert value[replica] == pytest.approx(expected)
    counts, label = torch.tensor([[90, 10], [1, 1]]), (LABELS > 2).double()
    p = torch.sigmoid(LOGITS[..., 0])
    value = calibration.adjusted_balanced_accuracy(p, label, class_counts=counts)
    for replica, threshold in enumerate((0.1, 0.5)):
        expected = balanced_accuracy_score(label[replica], p[replica] > threshold)
        assert value[replica] == pytest.approx(expected)


def test_a_run_has_the_metrics_that_are_named_and_a_result_gets_them_later():
    """From what is kept, predictions and counts of classes in training, they are the same."""
    words = ["dataset=wine", "seeds=2", "trainer.max_epochs=2", "tracking=none"]
    (config,), _ = configurations([*words, f"metrics=[{','.join(NAMED)}]"])
    trained = training.train(config, [0, 1])
    plain = training.train(replace(config, metrics=()), [0, 1])
    later = with_metrics(plain, NAMED)
    for name in NAMED:
        column = trained.seeds[f"test/{name}"]
        assert column.notna().all()
        assert later.seeds[f"test/{name}"].to_numpy() == pytest.approx(column, abs=1e-6), name


def test_tasks_without_classes_have_no_temperature():
    def asks(estimate, target, /, *, temperature):
        return estimate.mean(-1)

    assert "scaled_ece" in metrics_of(Binary((4,)), ["scaled_ece"])
    assert "recall_few" in metrics_of(Multiclass((4,), 4), ["recall_few"])
    with pytest.raises(UserError, match="recall_few"):
        metrics_of(Regression((4,), 1), ["recall_few"])
