"""R replicas, one for each seed, trained as one model under Lightning.

Parameters are (R, ...), batches (R, B, ...). Forward pass and loss are those of R replicas at once,
and the gradient of the sum over replicas is every replica's own, since none touches another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lossbench.datasets.pool import SCORED_AT_ONCE, Batch, Splits
from lossbench.metrics import AT_ONCE, OF_TRAINING, WEIGHT, asked_of_replicas, score
from lossbench.streams import stream
from lossbench.tasks.calibration import fit_temperature
from lossbench.tasks.scores import Weight, average
from lossbench.training import layers, replicas
from lossbench.training.chunks import in_chunks
from lossbench.training.descent import descend
from lossbench.training.draws import Draws, drawing, key_at
from lossbench.training.finishing import finish
from lossbench.training.keeping import bytes_of_kept
from lossbench.training.recipe import History, Recipe
from lossbench.training.replicas import Logits, State, replica_of, seeded, start_at
from lossbench.training.roads import choose_road, naming_step
from lossbench.training.sampling import orders_of
from lossbench.training.steps import clip, set_rate, step

STREAMS = ("dropout", "loss", "augmentation")  # of random numbers, while replicas are trained


class Stack(LightningModule):
    """One call of Lightning is one epoch: its own cost for a step is larger than the step."""

    def __init__(
        self, recipe: Recipe, splits: Splits, seeds: list[int], per_replica: State | None = None
    ) -> None:
        """per_replica: what replicas have of their own besides seeds, (R,) each.

        `lr` is the learning rate, `fact.gamma` a hyper-parameter of the loss, which must be a
        function, and `regularizer.strength` one of the regularizer.
        """
        super().__init__()
        self.rates: Tensor | None
        per_replica = dict(per_replica or {})
        scale = splits.trained_unit and splits.trained_unit.scale
        per_replica |= replicas.in_deviations(recipe.in_target_unit, per_replica, scale, len(seeds))
        self.register_buffer("rates", per_replica.pop("lr", None), persistent=False)
        self.automatic_optimization = False
        self.recipe, self.task, self.seeds = recipe, splits.task, seeds
        self._splits = splits
        self._build(per_replica)
        missing = torch.full((len(seeds),), -1)
        self.history = History(missing, missing.clone(), torch.full((len(seeds),), -torch.inf))
        self.unmapped: str | None = None  # why replicas are run one by one, where they are
        self.idle = 0  # replicas at the end that are the first again
        self.tried = 8  # examples that the loss is tried on before it is trained
        self.folded = False  # whether the loss is called once on the rows of all replicas
        self.draws = True  # whether `Draws` has answers for model or loss, or may have
        self.latest: dict[str, Draws] = {}  # of each stream
        self.room = 0.0  # bytes of predictions that may be kept of each replica
        self.validated = State()  # what is kept of the validation split: of the last epoch, "_best"
        self.keeps_models = False
        self.peek = False  # whether to score the test and training splits after every epoch
        self.steps_done = 0
        self.epochs_before = 0  # by a process before this one

    def _build(self, per_replica: State) -> None:
        """Make each replica from its own streams; stack what is trained and what is not."""
        trained, fixed, forms = [], [], []
        for r, seed in enumerate(self.seeds):
            facts = replicas.facts_of(self.recipe.facts, self.splits, r)
            model = seeded(stream(seed, "weights"), self.recipe.model)
            if self.recipe.start:
                start_at(model, self.recipe.start(self.splits.train_targets(r)))
            loss = seeded(stream(seed, "loss weights"), partial(self.recipe.loss, facts))
            forms.append(nn.ModuleDict({"model": model}))
            if isinstance(loss, nn.Module):
                forms[-1]["loss"] = loss
                facts = {}
            named = dict(forms[-1].named_parameters())
            trained.append({n: p for n, p in named.items() if p.requires_grad})
            frozen = {n: p.detach() for n, p in named.items() if not p.requires_grad}
            tensors = {f"fact.{n}": v for n, v in facts.items() if isinstance(v, Tensor)}
            buffers = dict(forms[-1].named_buffers())
            keys = {f"draw.{n}": torch.tensor(stream(seed, n)) for n in STREAMS}
            fixed.append({**frozen, **buffers, **tensors, **keys, **replica_of(per_replica, r)})
        self.names, self.fixed_names = list(trained[0]), list(fixed[0])
        self.stacked = nn.ParameterList(
            torch.stack([t[n].detach() for t in trained]) for n in self.names
        )
        for i, name in enumerate(self.fixed_names):
            self.register_buffer(
                f"fixed_{i}", torch.stack([f[name] for f in fixed]), persistent=False
            )
        self.weights = [n for n in self.names if n.startswith("model.") and trained[0][n].ndim > 1]
        # One replica is the form that the parameters of each are poured into.
        self.form = (forms[0]["model"], loss)

    @property
    def splits(self) -> Splits:
        """The data, on the stack's device and in its precision."""
        self._splits = self._splits.to(self.device, cast(torch.dtype, self.dtype))
        return self._splits

    @property
    def state(self) -> State:
        """Every replica's parameters, buffers and facts, each (R, ...)."""
        fixed = [getattr(self, f"fixed_{i}") for i in range(len(self.fixed_names))]
        return {
            **dict(zip(self.names, self.stacked, strict=True)),
            **dict(zip(self.fixed_names, fixed, strict=True)),
        }

    @property
    def epoch(self) -> int:
        """The epoch that is trained, the first is 0, also of a run that is resumed."""
        return self.epochs_before + self.current_epoch

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        return optimizer

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.recipe.optimizer(self.stacked, **({} if self.rates is None else {"lr": 1.0}))

    # ---- one replica ---------------------------------------------------------------------------
    def predict(self, state: State, inputs: Tensor) -> Tensor:
        """A replica's raw predictions, in the precision of its parameters."""
        with self.drawing(state, "dropout") or nullcontext():
            prediction = functional_call(self.form[0], layers.under(state, "model."), (inputs,))
        return prediction.to(self.stacked[0].dtype)

    def loss_of(self, state: State, prediction: Tensor, target: Tensor) -> Tensor:
        """A replica's mean loss over the batch, with its regularizer: the one mean there is."""
        loss, called = self.form[1], replicas.called_with(self.recipe.call_facts, state, target)
        prediction, target = self.recipe.fill(prediction, target)
        with self.drawing(state, "loss") or nullcontext():
            if isinstance(loss, nn.Module):
                weights = layers.under(state, "loss.")
                values = functional_call(loss, weights, (prediction, target), called)
            else:
                values = loss(prediction, target, **layers.under(state, "fact."), **called)
        return self.regularized(average(values, state.get("call.example_weight")), state)

    def regularized(self, loss: Tensor, state: State) -> Tensor:
        """A replica's loss and what its regularizer makes of its weights, if it has one."""
        if self.recipe.regularizer is None:
            return loss
        weights = [state[name] for name in self.weights]
        return loss + self.recipe.regularizer(weights, **layers.under(state, "regularizer."))

    def objective(self, state: State, inputs: Tensor, target: Tensor) -> Tensor:
        """What a replica's training step makes smaller."""
        return self.loss_of(state, self.predict(state, inputs), target)

    def drawing(self, state: State, name: str) -> Draws | None:
        """The random numbers of a stream at this step, of a replica or of all, where they draw."""
        if not self.draws:
            return None
        self.latest[name] = Draws(key_at(state[f"draw.{name}"], self.steps_done))
        return self.latest[name]

    def logits(self, state: State, prediction: Tensor) -> Tensor:
        """What a replica's link meets: its predictions, or the loss's logits of them."""
        if not self.recipe.through_loss:
            return prediction
        weights = {name: value for name, value in state.items() if name.startswith("loss.")}
        return functional_call(Logits(self.form[1]), weights, (prediction,))

    def scored(self, state: State, inputs: Tensor) -> Tensor:
        """The logits of a replica's own predictions."""
        return self.logits(state, self.predict(state, inputs))

    # ---- all replicas --------------------------------------------------------------------------
    def predictions(self, state: State, inputs: Tensor) -> Tensor:
        """Every replica's raw predictions at once."""
        draws = self.drawing(state, "dropout")
        prediction = layers.stacked(self.form[0], state, inputs, "model.", draws)
        return prediction.to(self.stacked[0].dtype)

    def objectives(self, state: State, inputs: Tensor, target: Tensor) -> Tensor:
        """Every replica's objective, at once or one by one where that cannot be, (R,)."""
        if self.unmapped is not None:
            return self.looped(self.objective, state, inputs, target)
        prediction = self.predictions(state, inputs)
        if self.recipe.regularizer is None:  # each tensor costs some microseconds to be mapped
            state = {n: v for n, v in state.items() if not n.startswith("model.")}
        if not self.folded:
            state = replicas.with_calls(self.recipe.call_facts, state, target)
            return vmap(self.loss_of)(state, prediction, target)
        losses = self.folded_loss(prediction, target, state.get("call.example_weight"))
        return vmap(self.regularized)(losses, state)

    def folded_loss(self, prediction: Tensor, target: Tensor, weight: Weight = None) -> Tensor:
        """Every replica's mean loss (R,), of one call on the rows of all."""
        return replicas.folded(self.form[1], *self.recipe.fill(prediction, target), weight)

    def all_scored(self, state: State, inputs: Tensor) -> Tensor:
        """What every replica's link meets, likewise."""
        if self.unmapped is not None:
            return self.looped(self.scored, state, inputs)
        prediction = self.predictions(state, inputs)
        return vmap(self.logits)(state, prediction) if self.recipe.through_loss else prediction

    def looped(self, function: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """The same replica by replica; what draws random numbers gets the replica's own stream.

        Fewer replicas where the last argument holds fewer; idle ones have what the first has.
        """
        results, count = [], len(arguments[-1])
        for r, seed in enumerate(self.seeds[: min(count, len(self.seeds) - self.idle)]):
            call = partial(function, *(replica_of(argument, r) for argument in arguments))
            results.append(seeded(stream(seed, "loss", self.steps_done), call))
        return torch.stack([*results, *results[:1] * (count - len(results))])

    def first_batch(self) -> Batch:
        """Each replica's first few examples, to try things on."""
        return self.splits.first("train", self.tried)

    def train_batches(self, order: Tensor) -> Iterator[Batch]:
        """The training examples in batches, each replica's in its own order (R, N)."""
        for batch in self.splits.batches("train", self._cut(order)):
            yield self.augmented(*batch)

    def _cut(self, order: Tensor) -> tuple[Tensor, ...]:
        """The examples of each batch of an epoch, (R, B)."""
        return order.tensor_split(self.recipe.batches(order.shape[1]), dim=1)

    def augmented(self, inputs: Tensor, targets: Tensor) -> Batch:
        """A training batch with the changes that belong to this step."""
        if self.recipe.augmentation is None:
            return inputs, targets
        keys = key_at(self.state["draw.augmentation"], self.steps_done)
        return vmap(partial(drawing, self.recipe.augmentation))(keys, inputs, targets)

    # ---- Lightning -----------------------------------------------------------------------------
    def on_train_start(self) -> None:
        if self.epochs_before:
            return
        choose_road(self)
        self.best = {n: p.detach().clone() for n, p in self.state.items()}
        self._record(0, "val", self.score(self.state, "validation"))
        if "" in self.validated:
            self.validated["_best"] = self.validated[""]
        self._look(0)

    def training_step(self, *_: Any) -> None:
        """One epoch of optimiser steps."""
        optimizer = self.optimizer
        self.form[0].train()
        order = orders_of(self.splits, self.seeds, self.epoch, balanced=self.recipe.balanced)
        steps = self.recipe.batches(order.shape[1]) * self.recipe.epochs
        state = self.state  # changed in place by the optimiser
        total = torch.zeros(len(self.seeds), device=self.device, dtype=self.stacked[0].dtype)
        weights = self.splits.weights_of("train")
        shares = replicas.shares_of(weights, self._cut(order))
        for index, share, (inputs, targets) in zip(
            self._cut(order), shares, self.train_batches(order), strict=True
        ):
            if self.recipe.call_facts:
                done = torch.full((len(self.seeds),), self.steps_done / steps, device=self.device)
                state.update({"call.index": index.to(self.device), "call.progress": done})
            if weights is not None:
                state["call.example_weight"] = weights.gather(1, index.to(self.device))
            optimizer.zero_grad()
            with naming_step(self.epoch, self.steps_done):
                losses = descend(self, state, inputs, targets)
            if self.recipe.clip_norm is not None:
                clip(self.stacked, self.recipe.clip_norm)
            set_rate(optimizer, self.recipe.schedule(self.steps_done / steps))
            step(optimizer, self.stacked, self.rates)
            total += losses * share
            self.steps_done += 1
        self._mark_diverged(total)
        self._record(self.epoch + 1, "train", {"loss": total})

    def _mark_diverged(self, loss: Tensor) -> None:
        """What is not finite stays so: a look at the end of the epoch finds it."""
        finite = loss.isfinite()
        for parameter in self.stacked:
            finite &= parameter.detach().reshape(len(loss), -1).isfinite().all(1)
        new = ~finite.cpu() & (self.history.diverged_epoch < 0)
        self.history.diverged_epoch[new] = self.epoch + 1
        if (self.history.diverged_epoch >= 0).all():
            self.trainer.should_stop = True

    def validation_step(self, *_: Any) -> None:
        """Score the epoch and keep each replica's parameters where it is its best so far."""
        scores = self.score(self.state, "validation")
        epoch, history = self.epoch + 1, self.history
        self._record(epoch, "val", scores)
        primary = self.recipe.primary
        value = scores[primary.name].cpu() * primary.direction
        better = (value > history.best_score) & (history.diverged_epoch < 0)
        history.best_score[better] = value[better].to(history.best_score)
        history.best_epoch[better] = epoch
        for name, parameter in self.state.items():
            self.best[name][better] = parameter.detach()[better]
        if "_best" in self.validated:
            self.validated["_best"][better] = self.validated[""][better]
        self._look(epoch)

    def _look(self, epoch: int) -> None:
        """Keep the scores of the test split, and of training as it is trained on, where asked."""
        for split in ("test", "train") if self.peek else ():
            if epoch or split == "train":
                for name, values in self.score(self.state, split).items():
                    self.history.test_curves.append((epoch, f"{split}/{name}", values.cpu()))

    def test_step(self, *_: Any) -> None:
        """Read the test split once."""
        finish(self)

    @torch.no_grad()
    def score(self, state: State, split: str) -> dict[str, Tensor]:
        """The metrics on a split, each (R,)."""
        estimate, targets, facts = self.for_metrics(state, split)
        if split == "validation" and bytes_of_kept(self.splits, estimate, targets) <= self.room:
            self.validated[""] = estimate
        return score(self.recipe.metrics, estimate, targets, self.splits.target_scale, facts)

    def for_metrics(
        self, state: State, split: str, validated: Tensor | None = None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The estimates and targets of a split, and what metrics ask for.

        validated: the estimates of the validation split, where they are known.
        """
        weights, first = self.splits.weights_of(split), split == "validation"
        estimate, targets = self.estimates(state, split, validated if first else None)
        facts = self.metric_facts(state, estimate if first else validated)
        return estimate, targets, facts if weights is None else {**facts, WEIGHT: weights}

    def metric_facts(self, state: State, validated: Tensor | None = None) -> dict[str, Tensor]:
        """What metrics ask for of each replica: of its training targets and validation scores."""
        asked = asked_of_replicas(self.recipe.metrics.values())
        facts = {name: self.training_facts[name] for name in asked.intersection(OF_TRAINING)}
        if "temperature" in asked:
            pair = self.estimates(state, "validation", validated)
            facts["temperature"] = fit_temperature(*pair, self.splits.weights_of("validation"))
        return facts

    @cached_property
    def training_facts(self) -> dict[str, Any]:
        """What is known of all replicas' training targets, found of a few replicas at a time."""
        few = in_chunks([*range(len(self.seeds))], max(1, AT_ONCE // self.splits.train.size))
        parts = [self.task.facts(self.splits.of(some).targets_of("train")) for some in few]
        merged = {name: [part[name] for part in parts] for name in parts[0]}
        return {n: torch.cat(v) if isinstance(v[0], Tensor) else v[0] for n, v in merged.items()}

    @torch.no_grad()
    def estimates(
        self, state: State, split: str, known: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What every replica makes of a split (R, N, ...), as the metrics score it; the targets."""
        targets = self.splits.targets_of(split)
        if known is None:
            inputs = (batch[0] for batch in self.splits.in_order(split))
            known = self.splits.own(self._estimate(state, inputs, targets.shape[1]))
        return known, self.splits.own(targets)

    @torch.no_grad()
    def estimate(self, state: State, inputs: Tensor) -> Tensor:
        """The same of inputs (R, N, ...)."""
        return self._estimate(state, inputs.split(SCORED_AT_ONCE, dim=1), inputs.shape[1])

    def _estimate(self, state: State, inputs: Iterable[Tensor], size: int) -> Tensor:
        whole, link = self._linked(state, inputs, size), self.recipe.link
        return replicas.estimates_of(self.task, whole, link, self._link_facts(state))

    def _link_facts(self, state: State) -> State:
        """What the link asks for of each replica: of its loss, its training split, and its fit."""
        bound, known = getattr(self.recipe.link, "keywords", {}), layers.under(state, "fact.")
        asked = set(self.recipe.link_asks) - (bound.keys() - known.keys())
        if asked - known.keys():
            known = self.training_facts | known
        if asked - known.keys():
            targets = self.splits.targets_of("train")
            inputs = (batch[0] for batch in self.splits.in_order("train"))
            known |= self.task.fitted_facts(self._linked(state, inputs, targets.shape[1]), targets)
        return {name: known[name] for name in asked}

    def _linked(self, state: State, inputs: Iterable[Tensor], size: int) -> Tensor:
        """What every replica's link meets of all inputs, (R, N, ...)."""
        self.form[0].eval()
        return replicas.gathered((self.all_scored(state, part) for part in inputs), size)

    def _record(self, epoch: int, place: str, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self.history.curves.append((epoch, f"{place}/{name}", value.cpu()))
