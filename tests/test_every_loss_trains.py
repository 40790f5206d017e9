"""Every registered loss, trained on data of its task, beats the untrained model."""

from __future__ import annotations

import pytest
from support import sampled

from lossbench import registry
from lossbench.configuration.experiments import configurations
from lossbench.training import train

DATA = {
    "binary": "dataset=moons dataset.samples=200 trainer.max_epochs=5",
    "multiclass": "dataset=wine trainer.max_epochs=5",
    "multilabel": "dataset=tags dataset.samples=300 trainer.max_epochs=5",
    "distribution": "dataset=soft_blobs dataset.samples=300 trainer.max_epochs=5",
    "regression": "dataset=diabetes trainer.max_epochs=8",
    "counts": "dataset=count_regression dataset.family=gamma trainer.max_epochs=3",
    "distributional": "dataset=heteroscedastic dataset.samples=300 trainer.max_epochs=5",
    "embedding": "dataset=digit_identities trainer.max_epochs=2",
    "pairs": "dataset=paired_views model=two_tower trainer.max_epochs=3",
    "ranking": "dataset=scored_pairs model=pair_scorer trainer.max_epochs=3",
    "list_ranking": "dataset=graded_lists dataset.samples=100 trainer.max_epochs=4",
    "segmentation": "dataset=shapes dataset.samples=100 model=unet trainer.max_epochs=4",
    "sequence": "dataset=digit_strips dataset.samples=300 model=temporal_conv trainer.max_epochs=6",
    "ordinal": "dataset=graded dataset.samples=300 trainer.max_epochs=5",
    "survival": "dataset=event_times dataset.samples=300 trainer.max_epochs=8",
    "semantic_segmentation": "dataset=shape_kinds dataset.samples=60 model=unet "
    "trainer.max_epochs=4",
    "generative": "dataset=digit_pixels model=vae trainer.max_epochs=2",
}
METRICS = {"interval_score": ["metric=interval_score_90"]}  # its only two quantiles are of this
LOSSES = [
    (p.task, p.name) for p in registry.installed("loss") if p.package == "lossbench" and p.task
]


@pytest.mark.parametrize(("task", "loss"), sampled(sorted(LOSSES), 16))
def test_a_trained_model_beats_the_untrained_one(task, loss):
    words = [f"loss={loss}", "optimizer.lr=0.01", *DATA[task].split(), "tracking=none"]
    words += METRICS.get(loss, [])
    result = train(configurations(words)[0][0], [0, 1])
    primary = result.summary["primary"]
    curve = result.curves[result.curves.metric == f"val/{primary}"]
    means = curve.groupby("epoch").value.mean() * result.summary["directions"][primary]
    assert result.diverged == 0
    assert means[means.index > 0].max() > means[0]
