"""Dangers that can be measured on a loss's sections, in one sentence each."""

from __future__ import annotations

from dataclasses import replace

import torch

from lossbench.show.anatomy import Entry
from lossbench.show.curves import Drawn, build_loss, measure_curve
from lossbench.show.studies import choose_studies

SATURATED = 1e-3  # of the slope at a small mistake
STEEPER = 2.0  # times the slope at a small mistake


def measure_traps(entry: Entry, drawn: Drawn) -> list[str]:
    """What its values and gradients show of its dangers, at the defaults, in numbers."""
    if entry.task is None:
        return []
    traps = _of_mistakes(entry) if drawn.panels else []
    lows = [c.value[c.value.isfinite()].min() for p in drawn.panels for c in p.curves]
    if lows and min(lows) < -1e-9:
        traps.append(f"It can be negative: {min(lows):.3g} in its pictures.")
    if entry.declaration.minimiser == "sign":
        traps.append("It learns sides, not probabilities: what it outputs needs calibration.")
    elif entry.task.estimate_range == (0, 1) and not entry.declaration.minimiser:
        traps.append("It declares no estimate: its probabilities may be off, and need calibration.")
    if _is_whole(entry):
        traps.append("It is one number for a whole batch, so that its value depends on the batch.")
    return traps


def _of_mistakes(entry: Entry) -> list[str]:
    """How hard mistakes pull, from the slopes at a small and a large one."""
    loss, traps = build_loss(entry), []
    section = choose_studies(entry, loss)[0].cases[0][1]
    if section.mistakes is None:
        return []
    places = torch.tensor(section.mistakes, dtype=torch.float64)
    at = measure_curve(replace(section, x=places), loss, "")
    near, far, _ = at.gradient.abs().tolist()
    slopes = f"slope {near:.2g} at {places[0]:g}, {far:.2g} at {places[1]:g}"
    if far < SATURATED * near:
        traps.append(f"A large mistake hardly teaches: {slopes}.")
    if far > STEEPER * near:
        traps.append(f"One large mistake outweighs many small ones: {slopes}.")
    if at.value[2] > at.value[0]:
        traps.append(f"Being too right costs: {at.value[2]:.3g} at {places[2]:g}.")
    return traps


def _is_whole(entry: Entry) -> bool:
    """Whether one number comes back for a batch."""
    assert entry.task
    prediction, target = entry.task.example(entry.task.outputs_of(entry.declaration))
    try:
        return build_loss(entry)(prediction.double(), target).ndim == 0
    except Exception:  # whatever a loss of anyone's may raise
        return False
