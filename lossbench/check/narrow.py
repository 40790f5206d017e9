"""A loss of a library that computes in float32 whatever it is given, for checks in float64."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbench.check.subject import Subject, as_dtype


class Narrow:
    """The loss called in float32, with values of the prediction's type; pickled as a call."""

    def __init__(self, loss: Callable[..., Any]) -> None:
        functools.update_wrapper(self, loss)
        self.loss = loss

    def __call__(self, prediction: Tensor, target: Tensor, /, **given: Any) -> Any:
        if prediction.dtype != torch.float64:
            return self.loss(prediction, target, **given)
        return self.loss(prediction.float(), as_dtype(target, torch.float32), **given).double()

    def __reduce__(self) -> tuple[Any, ...]:
        return Narrow, (self.loss,)


def narrowed(subject: Subject) -> Subject:
    """The subject, with a foreign loss as Narrow where it takes no float64 or gives none for it."""
    if not subject.is_foreign or subject.is_module:
        return subject
    narrow = dataclasses.replace(subject, loss=Narrow(subject.loss), is_narrow=True)
    try:
        return subject if subject(*subject.example).dtype == torch.float64 else narrow
    except Exception:
        return narrow if _runs(narrow) else subject


def _runs(subject: Subject) -> bool:
    try:
        return bool(subject(*subject.example).isfinite().any())
    except Exception:
        return False
