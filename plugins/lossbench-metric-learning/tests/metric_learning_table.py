"""One row a loss: its name, the library's class, other keywords, and what it cannot pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytorch_metric_learning import losses


@dataclass(frozen=True)
class Row:
    """per_example: whether it gives (B,); fixed: what the library is given next to the keywords.

    hyper: keywords unlike their defaults; cannot: check -> why the library does not pass it.
    """

    name: str
    library: type
    per_example: bool
    hyper: dict[str, Any]
    fixed: dict[str, Any] = field(default_factory=dict)
    cannot: dict[str, str] = field(default_factory=dict)


MARGINS = {"pos_margin": 0.2, "neg_margin": 0.7}
ANGLES = {"margin": 10.0, "scale": 8.0}
MULTIPLES = {"margin": 2, "scale": 2.0}
TABLE = [
    Row("pml_contrastive", losses.ContrastiveLoss, False, MARGINS),
    Row("pml_snr_contrastive", losses.SignalToNoiseRatioContrastiveLoss, False, MARGINS),
    Row("pml_nt_xent", losses.NTXentLoss, False, {"temperature": 0.5}),
    Row("pml_sup_con", losses.SupConLoss, False, {"temperature": 0.5}),
    Row(
        "pml_multi_similarity",
        losses.MultiSimilarityLoss,
        True,
        {"alpha": 3.0, "beta": 20.0, "base": 0.3},
    ),
    Row(
        "pml_circle",
        losses.CircleLoss,
        False,
        {"m": 0.25, "gamma": 16.0},
        cannot={"gradcheck": "its weights have no gradient, as in the paper"},
    ),
    Row("pml_lifted_structure", losses.LiftedStructureLoss, False, MARGINS),
    Row("pml_generalized_lifted_structure", losses.GeneralizedLiftedStructureLoss, True, MARGINS),
    Row(
        "pml_intra_pair_variance",
        losses.IntraPairVarianceLoss,
        False,
        {"pos_eps": 0.1, "neg_eps": 0.2},
    ),
    Row(
        "pml_threshold_consistent_margin",
        losses.ThresholdConsistentMarginLoss,
        False,
        {"lambda_plus": 2.0, "lambda_minus": 0.5, "margin_plus": 0.8, "margin_minus": 0.1},
    ),
    Row(
        "pml_triplet_margin",
        losses.TripletMarginLoss,
        False,
        {"margin": 0.3, "swap": True, "smooth_loss": True},
    ),
    Row("pml_margin", losses.MarginLoss, False, {"margin": 0.3, "beta": 1.0}),
    Row("pml_angular", losses.AngularLoss, False, {"alpha": 30.0}),
    Row(
        "pml_tuplet_margin",
        losses.TupletMarginLoss,
        False,
        ANGLES,
        cannot={"finite_at_extremes": "it takes the angle of a cosine that rounds to above 1"},
    ),
    Row(
        "pml_n_pairs",
        losses.NPairsLoss,
        False,
        {},
        cannot={"batch_order": "the first positive pair of each identity in the batch counts"},
    ),
    Row("pml_nca", losses.NCALoss, False, {"softmax_scale": 5.0}),
    Row("pml_fast_ap", losses.FastAPLoss, False, {"num_bins": 7}),
    Row(
        "pml_pnp",
        losses.PNPLoss,
        False,
        {"b": 3.0, "alpha": 2.0, "anneal": 0.1, "variant": "Ib"},
        cannot={"half_precision": "it takes exponentials up to e^50, beyond float16"},
    ),
    Row("pml_proxy_nca", losses.ProxyNCALoss, True, {"softmax_scale": 5.0}),
    Row("pml_proxy_anchor", losses.ProxyAnchorLoss, False, {"margin": 0.2, "alpha": 8.0}),
    Row(
        "pml_soft_triple",
        losses.SoftTripleLoss,
        True,
        {"centers_per_class": 3, "la": 5.0, "gamma": 0.5, "margin": 0.1},
    ),
    Row("pml_normalized_softmax", losses.NormalizedSoftmaxLoss, True, {"temperature": 0.5}),
    Row("pml_arcface", losses.ArcFaceLoss, True, ANGLES),
    Row("pml_sub_center_arcface", losses.SubCenterArcFaceLoss, True, {**ANGLES, "sub_centers": 2}),
    Row("pml_cosface", losses.CosFaceLoss, True, {"margin": 0.2, "scale": 8.0}),
    Row("pml_sphereface", losses.SphereFaceLoss, True, MULTIPLES),
    Row(
        "pml_large_margin_softmax", losses.LargeMarginSoftmaxLoss, True, {"margin": 2, "scale": 2.0}
    ),
    Row(
        "pml_margin_learned",
        losses.MarginLoss,
        False,
        {"margin": 0.3, "nu": 0.1, "beta": 1.0},
        fixed={"learn_beta": True},
    ),
]
