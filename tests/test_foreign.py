"""Losses of other libraries and of no contract: found by name, given a batch in the right form."""

from __future__ import annotations

import inspect
import pickle

import pytest
import torch
from foreign import fitted, form_of, installed, one_hot
from torch import Tensor
from torch.nn import functional as F

from lossbench import api, registry
from lossbench.contract import UserError, declaration_of
from lossbench.registry.schema import validate
from lossbench.tasks import task_class


def planes(target: Tensor) -> Tensor:
    return F.one_hot(target, 3).float().movedim(-1, 1)


def ctc(prediction: Tensor, target: Tensor) -> Tensor:
    steps, labels = prediction.log_softmax(-1).transpose(0, 1), target[:, 1]
    lengths = torch.full((len(target),), len(steps)), (labels != 0).sum(1)
    return F.ctc_loss(steps, labels, *lengths, reduction="none")


def two_logits(prediction: Tensor) -> Tensor:
    return torch.stack([torch.zeros_like(prediction), prediction], 1)


# loss, task, form, hyper-parameters, the same by the library's own call on a batch
# fmt: off
TABLE = [
    ("SmoothL1Loss", "regression", "raw predictions and targets", {"beta": 0.5},
     lambda p, t: F.smooth_l1_loss(p, t, beta=0.5, reduction="none")),
    ("CrossEntropyLoss", "multiclass", "raw predictions and targets", {"label_smoothing": 0.1},
     lambda p, t: F.cross_entropy(p, t, label_smoothing=0.1, reduction="none")),
    ("NLLLoss", "multiclass", "logarithms of the estimates and targets", {},
     lambda p, t: F.nll_loss(p.log_softmax(1), t, reduction="none")),
    ("NLLLoss", "binary", "log-probabilities of two classes and indices", {},
     lambda p, t: F.nll_loss(two_logits(p).log_softmax(1), t.long(), reduction="none")),
    ("BCELoss", "binary", "estimates and targets", {},
     lambda p, t: F.binary_cross_entropy(p.sigmoid(), t, reduction="none")),
    ("BCELoss", "multiclass", "estimates and one-hot targets", {},
     lambda p, t: F.binary_cross_entropy(p.softmax(1), one_hot(t), reduction="none").mean(1)),
    ("BCEWithLogitsLoss", "multilabel", "raw predictions and targets", {},
     lambda p, t: F.binary_cross_entropy_with_logits(p, t, reduction="none").mean(1)),
    ("SoftMarginLoss", "binary", "raw predictions and targets of -1 and 1", {},
     lambda p, t: F.soft_margin_loss(p, 2 * t - 1, reduction="none")),
    ("SoftMarginLoss", "multiclass", "raw predictions and one-hot targets of -1 and 1", {},
     lambda p, t: F.soft_margin_loss(p, 2 * one_hot(t) - 1, reduction="none").mean(1)),
    ("MultiMarginLoss", "multiclass", "raw predictions and targets", {"margin": 2.0},
     lambda p, t: F.multi_margin_loss(p, t, margin=2.0, reduction="none")),
    ("CrossEntropyLoss", "binary", "logits of two classes and indices", {},
     lambda p, t: F.cross_entropy(two_logits(p), t.long(), reduction="none")),
    ("CrossEntropyLoss", "segmentation", "logits of two classes and indices", {},
     lambda p, t: F.cross_entropy(two_logits(p), t.long(), reduction="none").mean((1, 2))),
    ("KLDivLoss", "distribution", "logarithms of the estimates and targets", {},
     lambda p, t: F.kl_div(p.log_softmax(1), t, reduction="none").mean(1)),
    ("MSELoss", "multiclass", "estimates and one-hot targets", {},
     lambda p, t: F.mse_loss(p.softmax(1), one_hot(t), reduction="none").mean(1)),
    ("CrossEntropyLoss", "semantic_segmentation", "raw predictions and targets", {},
     lambda p, t: F.cross_entropy(p, t, reduction="none").mean((1, 2))),
    ("BCELoss", "semantic_segmentation", "estimates and one-hot targets", {},
     lambda p, t: F.binary_cross_entropy(p.softmax(1), planes(t), reduction="none")
     .mean((1, 2, 3))),
    ("MarginRankingLoss", "ranking", "first, second and sign", {"margin": 0.5},
     lambda p, t: F.margin_ranking_loss(*p.T, 2 * t - 1, margin=0.5, reduction="none")),
    ("CTCLoss", "sequence",
     "log-probabilities by step, labels, numbers of steps and numbers of labels",
     {}, lambda p, t: ctc(p, t)),
    ("GaussianNLLLoss", "distributional", "mean, target and variance", {},
     lambda p, t: F.gaussian_nll_loss(p[:, 0], t, p[:, 1].exp(), reduction="none")),
    ("MultiLabelSoftMarginLoss", "multilabel", "raw predictions and targets", {},
     lambda p, t: F.multilabel_soft_margin_loss(p, t, reduction="none")),
]
# fmt: on


@pytest.mark.parametrize(
    ("name", "task", "words", "hyper", "own"), TABLE, ids=[f"{r[0]}-{r[1]}" for r in TABLE]
)
def test_a_torch_loss_is_given_what_it_is_written_for(name, task, words, hyper, own):
    """The form is found by trying, and values are those of the library's own call."""
    loss = fitted(f"torch.nn:{name}", task)
    assert form_of(loss) == words
    posed = task_class(task).small()
    prediction, target = posed.example(posed.outputs_of(declaration_of(loss)))
    torch.testing.assert_close(loss(prediction, target, **hyper), own(prediction, target))


@pytest.mark.parametrize(
    ("name", "task", "reason"),
    [
        ("torch.nn:NLLLoss", "regression", "no form of a batch of the task regression serves it"),
        ("torch.nn:BCEWithLogitsLoss", "regression", "a right answer does not cost less than a"),
        ("torch.nn:TripletMarginLoss", "multiclass", "serves it"),
        ("maker.py:make", "multiclass", r"name that in a file: f = make\(\.\.\.\)"),
        ("torch.nn:NoSuchLoss", "multiclass", "it has no attribute 'NoSuchLoss'"),
        (
            "torch.nn:Huber",
            "multiclass",
            r"Did you mean torch.nn:HuberLoss\? Allowed: [^.]*BCELoss",
        ),
        ("torch.no_such:Loss", "multiclass", "there is no module torch.no_such"),
        (
            "broken.py:loss",
            "multiclass",
            "module 'math' has no attribute 'nothing'",
        ),
    ],
)
def test_a_loss_that_no_form_serves_is_refused(name, task, reason, here):
    (here / "broken.py").write_text("import math\nmath.nothing")
    (here / "maker.py").write_text("def make(gamma):\n    return gamma")
    with pytest.raises(UserError, match=reason):
        fitted(name, task)


def test_what_defaults_to_something_becomes_a_key_but_for_reductions():
    (plugin,) = registry.find("loss", "torch.nn:CrossEntropyLoss")
    assert {p.name for p in registry.parameters(plugin)} == {
        "weight",
        "ignore_index",
        "label_smoothing",
    }
    assert plugin.library
    assert plugin.package == "torch"


def test_a_list_reaches_a_parameter_that_is_a_tensor():
    """class weights are a list in YAML, and the module that holds them has memory of its own."""
    loss = fitted("torch.nn:CrossEntropyLoss", "multiclass", weight=[1.0, 2.0, 3.0, 4.0])
    prediction, target = task_class("multiclass").small().example()
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    expected = F.cross_entropy(prediction, target, weight, reduction="none")
    torch.testing.assert_close(loss(weight=[1.0, 2.0, 3.0, 4.0])(prediction, target), expected)


IMAGES = """
import torch
from foreign import fitted, form_of, installed, one_hot

@torch.library.register_fake("torchvision::nms")
def nms(boxes, scores, threshold):
    return scores

def loss(input, target):
    return (input - target) ** 2
"""


def test_a_library_that_needs_torchvision_may_be_next_to_another_build_of_torch(here):
    """The operators that its build lacks are declared; no loss calls them."""
    (here / "mine.py").write_text(IMAGES)
    assert fitted("mine.py:loss", "regression")(torch.ones(1), torch.zeros(1)) == 1


LIBRARY = """
import torch
from foreign import fitted, form_of, installed, one_hot
from torch.nn import functional as F

def cox(log_hz, event, time, ties="breslow"):
    assert event.dtype == torch.bool
    later = time.unsqueeze(0) >= time.unsqueeze(1)
    risk = torch.logsumexp(log_hz.masked_fill(~later, -torch.inf), 1)
    return (risk - log_hz)[event].mean()

def weibull(log_params, event, time, reduction="mean"):
    scale, shape = log_params.unbind(1)
    power = shape.exp() * (time.log() - scale)
    values = power.exp() - event * (shape + power)
    return values if reduction == "none" else values.mean()

def exchanged(log_params, event, time, reduction="mean"):
    return weibull(log_params.flip(1), event, time, reduction)

def hazards(phi, idx_durations, events):
    return F.binary_cross_entropy_with_logits(phi[:, idx_durations.long()], events)

def coral(logits, levels):
    return F.binary_cross_entropy_with_logits(logits, levels, reduction="none").sum(1)

def views(z_a, z_b):
    return (1 - F.cosine_similarity(z_a, z_b)).mean()

class Dice(torch.nn.Module):
    def __init__(self, sigmoid=False, to_onehot_y=False, smooth=1.0, reduction="mean"):
        super().__init__()
        self.sigmoid, self.to_onehot_y, self.smooth = sigmoid, to_onehot_y, smooth

    def forward(self, input, target):
        share = input.sigmoid() if self.sigmoid else input
        if self.to_onehot_y:
            share = input.softmax(1)
            target = F.one_hot(target[:, 0], input.shape[1]).movedim(-1, 1)
        assert share.shape == target.shape
        both, axes = (share * target).sum((2, 3)), (2, 3)
        return 1 - (2 * both + self.smooth) / (share.sum(axes) + target.sum(axes) + self.smooth)

class Compound(torch.nn.Module):
    def __init__(self, sigmoid=False):
        super().__init__()
        self.dice, self.cross_entropy = Dice(sigmoid), torch.nn.BCEWithLogitsLoss()

    def forward(self, input, target):
        return self.dice(input, target).mean() + self.cross_entropy(input, target)

class SummedLabels(torch.nn.Module):
    def __init__(self, reduction="sum"):
        super().__init__()
        self.reduction = reduction

    def forward(self, logits, labels):
        values = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return values if self.reduction == "none" else values.sum()

def mean_or_sum(logits, labels, reduction="mean"):
    values = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return values.mean() if reduction == "mean" else values.sum()

def soft_f1(logits, labels):
    share = logits.sigmoid()
    return (1 - 2 * (share * labels).sum() / (share + labels).sum()).reshape(1)

def powered(input, target, *, power):
    return (input - target).abs() ** power

def padded(scores, grades):
    scores, grades, absent = scores.clone(), grades.clone(), grades.data == -1
    scores[absent] = grades[absent] = -30.0
    return -(grades.softmax(1) * scores.log_softmax(1)).sum(1).mean()

def scattered(input, target):  # one_hot of monai
    planes = torch.zeros(size=input.shape, dtype=torch.float, device=target.device)
    return -(planes.scatter_(1, target[:, None], 1) * input.log_softmax(1)).sum(1).mean()

def agreement(scores, grades):
    return -(grades.softmax(1) * scores.log_softmax(1)).sum(1).mean()

def continued(logits, classes, num_classes):
    cost = F.binary_cross_entropy_with_logits
    terms = [
        cost(logits[at, k], (classes[at] > k).float(), reduction="sum")
        for k in range(num_classes - 1)
        for at in [classes >= k]
    ]
    return sum(terms) / len(classes)

def keras(y_true, y_pred, margin: int = None):
    y_true[y_true == 255] = 0
    return (margin or 1) * F.binary_cross_entropy_with_logits(y_pred.view(-1), y_true.view(-1))

def clipped(y_pred, y_true):
    return -y_pred.gather(1, y_true.unsqueeze(1)).clamp(1e-15, 1 - 1e-15).log()

def of_scores(x, target):
    return F.cross_entropy(x, target)

def believed(evidence, target):
    alpha = evidence.relu() + 1
    return alpha.sum(1).log() - alpha.gather(1, target.unsqueeze(1)).squeeze(1).log()

def dirichlet(alpha, y, lamb=1.0):
    assert (alpha >= 1).all()
    share = alpha / alpha.sum(1, keepdim=True)
    spread = (share * (1 - share)).sum(1) / (alpha.sum(1) + 1)
    return ((y - share).square().sum(1) + spread).mean()

def smoothed(input, target, smooth_factor=None):  # of segmentation_models_pytorch
    assert smooth_factor is not None
    return F.cross_entropy(input, target, label_smoothing=smooth_factor)

class Sized(torch.nn.Module):  # of monai
    def __init__(self, num_classes=2, squared=False):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, input, target):
        assert target.max() < self.num_classes
        return F.cross_entropy(input, target)

def lead(positive_score, negative_score, gamma=1e-10):  # BPRLoss of catalyst
    assert positive_score.shape == negative_score.shape
    return -torch.log(gamma + torch.sigmoid(positive_score - negative_score)).mean()

def masks(inputs, targets, num_boxes=1):  # dice_loss of transformers, from DETR
    inputs = inputs.sigmoid().flatten(1)
    both = 2 * (inputs * targets).sum(1)
    return (1 - (both + 1) / (inputs.sum(-1) + targets.sum(-1) + 1)).sum() / num_boxes

def labelled(s_i, s_j, label):  # RankNet as notebooks have it
    return F.binary_cross_entropy_with_logits(s_i - s_j, label)

def normal(mean, logvar, y):  # of notebooks: in an order that no form has
    return (logvar + (y - mean) ** 2 / logvar.exp()).mean() / 2

class Flat(torch.nn.Module):  # CrossEntropyLossFlat of fastai
    def __init__(self, axis=-1):
        super().__init__()
        self.axis = axis

    def forward(self, inp, targ):
        inp, targ = (x.transpose(self.axis, -1).contiguous() for x in (inp, targ))
        return F.cross_entropy(inp.view(-1, inp.shape[-1]), targ.view(-1))

def of_classes(y_pred, y_true):
    both = (y_pred * F.one_hot(y_true, 2).movedim(-1, 1)).flatten(2).sum(-1)
    return 1 - (2 * both / (y_pred.flatten(2).sum(-1) + both + 1)).mean()

class Residual(torch.nn.Module):
    def forward(self, residual):
        return residual.square().mean()

class Margins(torch.nn.Module):
    def __init__(self, cls_num_list: list):
        super().__init__()
        self.margins = [count ** -0.25 for count in cls_num_list]

    def forward(self, x, target):
        margins = torch.tensor(self.margins)[target]
        return F.cross_entropy(x - F.one_hot(target, x.shape[1]) * margins[:, None], target)

def deprecated(cls):
    cls.__new__ = lambda own, *args, **kwargs: object.__new__(own)
    return cls

@deprecated
class Memory(torch.nn.Module):
    def __init__(self, num_classes=1000, power=0.5):
        super().__init__()
        self.register_buffer("seen", torch.ones(num_classes))
        self.power = power

    def forward(self, logits, target):
        return F.cross_entropy(logits + self.power * self.seen.log(), target)

class Proxies(torch.nn.Module):
    def __init__(self, embedding_size, n_classes):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(n_classes, embedding_size))

    def forward(self, embeddings, labels):
        return F.cross_entropy(embeddings @ self.weight.T, labels)
"""


@pytest.fixture
def library(here, monkeypatch):
    """A package of losses as pip puts it, of no contract."""
    with installed(here, "made_losses", LIBRARY, monkeypatch) as library:
        yield library


@pytest.mark.parametrize(
    ("name", "task", "given", "words"),
    [
        ("cox", "survival", {}, "risk, event and time"),
        ("coral", "ordinal", {}, "threshold logits and levels"),
        ("continued", "ordinal", {"num_classes": 4}, "threshold logits and targets"),
        ("views", "pairs", {}, "one side and the other"),
        ("soft_f1", "binary", {}, "raw predictions and targets"),
        (
            "keras",
            "segmentation",
            {},
            "raw predictions and targets, with a channel axis, the target first",
        ),
        ("clipped", "ordinal", {}, "estimates and targets"),
        ("of_scores", "binary", {}, "logits of two classes and indices"),
        ("lead", "ranking", {}, "higher and lower"),
        ("labelled", "ranking", {}, "first, second and target"),
        ("Flat", "semantic_segmentation", {"axis": 1}, "raw predictions and targets"),
        ("masks", "segmentation", {}, "raw predictions and targets, flattened"),
        ("of_classes", "segmentation", {}, "probabilities of two classes and indices"),
        ("Residual", "regression", {}, "residuals"),
        ("Margins", "multiclass", {}, "raw predictions and targets"),
        ("agreement", "list_ranking", {}, "raw predictions and targets"),
        ("Memory", "multiclass", {}, "raw predictions and targets, num_classes=4"),
        (
            "Compound",
            "segmentation",
            {},
            "raw predictions and targets, with a channel axis, sigmoid=True",
        ),
        (
            "Dice",
            "segmentation",
            {},
            "raw predictions and targets, with a channel axis, sigmoid=True",
        ),
        (
            "Dice",
            "segmentation",
            {"sigmoid": True},
            "raw predictions and targets, with a channel axis",
        ),
        (
            "Dice",
            "semantic_segmentation",
            {"to_onehot_y": True},
            "raw predictions and targets with a channel axis",
        ),
    ],
)
def test_a_loss_of_a_library_is_given_the_parts_and_shapes_that_it_asks_for(
    library, name, task, given, words
):
    """By the names of its arguments, and at the switches that are set."""
    loss = fitted(f"{library}:{name}", task, **given)
    assert form_of(loss) == words


def test_thresholds_bring_their_outputs_and_link(library):
    """A loss of C - 1 thresholds is given as many outputs, scored as those of coral are."""
    loss, posed = fitted(f"{library}:coral", "ordinal"), task_class("ordinal").small()
    declared = declaration_of(loss)
    prediction, target = posed.example(posed.outputs_of(declared))
    assert prediction.shape == (8, 3)
    own = api.get_loss("coral", task="ordinal")
    torch.testing.assert_close(loss(prediction, target), own(prediction, target))
    assert declared.link(prediction).sum(-1).allclose(torch.ones(8))


def test_a_weibull_distribution_is_recognised_by_what_is_likeliest(library):
    """Two outputs bring their link; in another order the likeliest are not those that it has."""
    loss = fitted(f"{library}:weibull", "survival")
    ours = api.get_loss("weibull_aft", task="survival")
    assert form_of(loss) == "log scale and log shape, event and time"
    assert declaration_of(loss).link is declaration_of(ours).link
    batch = task_class("survival").small().example(2)
    torch.testing.assert_close(loss(*batch), ours(*batch))
    with pytest.raises(UserError, match="the estimate that costs least is not"):
        fitted(f"{library}:exchanged", "survival")


def test_parts_in_another_order_are_no_form(library):
    """Of a mean, a variance and a target, which could be given in any."""
    with pytest.raises(UserError, match="a right answer does not cost less than a wrong one"):
        fitted(f"{library}:normal", "distributional")


def test_what_the_task_gives_is_said_where_nothing_serves(library):
    words = r"with prediction \(B,\) and target \(B, 2\), or more outputs by declare\(outputs="
    with pytest.raises(UserError, match=words):
        fitted(f"{library}:hazards", "survival")


@pytest.mark.parametrize(
    ("name", "words", "own"),
    [
        ("believed", "evidence and targets", "edl_log"),
        ("dirichlet", "parameters of a Dirichlet distribution and one-hot targets", "edl_mse"),
    ],
)
def test_evidence_is_given_as_our_own_losses_have_it(library, name, words, own):
    """By the name of the argument; predictions are scored by the distribution's mean."""
    loss, ours = fitted(f"{library}:{name}", "multiclass"), api.get_loss(own, task="multiclass")
    assert form_of(loss) == words
    assert declaration_of(loss).link is declaration_of(ours).link
    batch = task_class("multiclass").small().example()
    expected = ours(*batch, strength=0.0, progress=torch.ones(()))
    torch.testing.assert_close(loss(*batch).mean(), expected.mean())


def test_steps_that_are_asked_one_by_one_bring_their_own_link(library):
    """At equal outputs the least cost is at the estimates that the link gives."""
    loss = fitted(f"{library}:continued", "ordinal", num_classes=4)
    corn = api.get_loss("corn", task="ordinal")
    assert declaration_of(loss).link is declaration_of(corn).link
    prediction, target = task_class("ordinal").small().example(3)
    expected = corn(prediction, target).mean()
    torch.testing.assert_close(loss(prediction, target, num_classes=4), expected)


def test_a_loss_may_change_its_own_copy_of_a_target(library):
    """And be given what is not in one piece."""
    loss, posed = fitted(f"{library}:keras", "segmentation"), task_class("segmentation").small()
    prediction, target = (part.mT.contiguous().mT for part in posed.example())
    target[0, 0, 0] = 255
    leaf = prediction.requires_grad_()
    (loss(leaf, target) + loss(leaf, target)).backward()
    assert target[0, 0, 0] == 255


@pytest.mark.parametrize(
    ("name", "task"), [("padded", "list_ranking"), ("scattered", "multiclass")]
)
def test_what_is_written_into_a_tensor_can_be_mapped(library, name, task):
    """x[mask] = number, of which torch maps neither values nor gradients, and places in zeros."""
    loss, posed = fitted(f"{library}:{name}", task), task_class(task).small()
    prediction, target = (torch.stack([part, part.roll(1, 0)]) for part in posed.example())
    mapped = torch.func.vmap(loss)(prediction, target)
    torch.testing.assert_close(
        mapped, torch.stack([loss(*b) for b in zip(prediction, target, strict=True)])
    )


def test_a_default_of_none_is_valid_whatever_the_annotation_says(library):
    (plugin,) = registry.find("loss", f"{library}:keras")
    assert validate(registry.parameters(plugin), {}, "loss") == {"margin": None}


def test_a_loss_that_adds_up_what_an_example_has_still_does(library):
    loss, posed = fitted(f"{library}:SummedLabels", "multilabel"), task_class("multilabel").small()
    prediction, target = posed.example()
    expected = F.binary_cross_entropy_with_logits(prediction, target, reduction="none").sum(1)
    torch.testing.assert_close(loss(prediction, target), expected)


def test_one_number_for_a_batch_is_that_of_the_librarys_own_reduction(library):
    """What gives a sum where it is asked for no reduction is not asked for it."""
    loss, batch = fitted(f"{library}:mean_or_sum", "binary"), task_class("binary").small().example()
    assert loss.words == "raw predictions and targets"
    torch.testing.assert_close(loss(*batch), F.binary_cross_entropy_with_logits(*batch))


@pytest.mark.parametrize(
    ("name", "task", "given"),
    [
        ("Dice", "segmentation", {}),
        ("coral", "ordinal", {}),
        ("Proxies", "embedding", {"embedding_size": 16, "n_classes": 4}),
    ],
)
def test_a_loss_of_a_library_comes_back_from_a_pickle(library, name, task, given):
    """A function, one of a class, and the class of one with weights, and what it has made."""
    loss, posed = fitted(f"{library}:{name}", task, **given), task_class(task).small()
    again = pickle.loads(pickle.dumps(loss))
    assert again.words == loss.words
    if inspect.isclass(loss):
        loss = loss(**given)
        torch.nn.init.normal_(loss.made.weight)
        again = pickle.loads(pickle.dumps(loss))
    batch = posed.example(posed.outputs_of(declaration_of(loss)))
    if "embedding_size" not in given:
        torch.testing.assert_close(again(*batch), loss(*batch), rtol=0, atol=0)
    else:
        assert torch.equal(again.made.weight, loss.made.weight)


def test_facts_have_other_names_in_libraries(library):
    """embedding_size and n_classes are supplied; nobody has to set them."""
    (plugin,) = registry.find("loss", f"{library}:Proxies")
    assert registry.facts(plugin) == ("embedding_size", "n_classes")
    assert {p.name: p.default for p in registry.parameters(plugin)} == {
        "embedding_size": None,
        "n_classes": None,
    }
    known = {"embedding_dim": 16, "num_classes": 4}
    assert registry.given(registry.facts(plugin), known) == {"embedding_size": 16, "n_classes": 4}


def test_python_gets_it_by_the_same_name():
    loss = api.get_loss("torch.nn:NLLLoss", task="multiclass")
    assert loss(torch.zeros(2, 4), torch.tensor([0, 3])).tolist() == pytest.approx([1.3862944] * 2)


def test_python_gives_it_what_it_asks_for_with_the_batch(library):
    """Required values and switches decide the form at each call."""
    prediction, target = task_class("segmentation").small().example()
    dice = api.get_loss(f"{library}:Dice", task="segmentation")
    torch.testing.assert_close(dice(prediction, target, sigmoid=True), dice(prediction, target))
    continued = api.get_loss(f"{library}:continued", task="ordinal")
    batch = task_class("ordinal").small().example(3)
    assert continued(*batch, num_classes=4) == continued(*batch, num_classes=4)
    powered = api.get_loss(f"{library}:powered", task="regression")
    assert powered(torch.ones(2), torch.zeros(2), power=2.0).tolist() == [1, 1]
    with pytest.raises(UserError, match="give num_classes, a fact of the problem"):
        continued(*batch)
    with pytest.raises(UserError, match="power must be given"):
        powered(torch.ones(2), torch.zeros(2))


WEIGHED = """
import torch
from foreign import fitted, form_of, installed, one_hot
from torch.nn import functional as F

def weighed(logits, labels, weight=torch.tensor([1.0, 2.0, 3.0])):
    return F.cross_entropy(logits, labels, weight, reduction="none")
"""


def test_python_gives_it_a_batch_of_any_number_of_classes(library, here):
    """Class weights, sizes and one-hot targets are of the batch, whatever the form was found on."""
    (here / "mine.py").write_text(WEIGHED)
    prediction, target = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    weight = torch.tensor([1.0, 2.0, 3.0])
    expected = F.cross_entropy(prediction, target, weight, reduction="none")

    def value(name: str, **given):
        return api.get_loss(name, task="multiclass")(prediction, target, **given)

    torch.testing.assert_close(value("torch.nn:CrossEntropyLoss", weight=[1.0, 2, 3]), expected)
    torch.testing.assert_close(value("mine.py:weighed"), expected)
    brier = ((prediction.softmax(1) - F.one_hot(target)) ** 2).mean(1)
    torch.testing.assert_close(value("torch.nn:MSELoss"), brier)
    plain = F.cross_entropy(prediction, target)
    torch.testing.assert_close(value(f"{library}:Sized", num_classes=3), plain)
    torch.testing.assert_close(value(f"{library}:smoothed", smooth_factor=0.0), plain)
    with pytest.raises(UserError, match="no form of a batch"):
        value(f"{library}:smoothed")


def test_check_holds_a_library_loss_to_the_rules_of_numbers(command):
    """What is the library's own affair is skipped; the task is found."""
    done = command("check", "torch.nn:MultiMarginLoss", "--task", "multiclass", "-v")
    assert "it is the library's own" in " ".join(done.out.split())
    assert "right_costs_less" in done.out
