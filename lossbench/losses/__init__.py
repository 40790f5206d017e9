"""Formulas only, one file per task: `loss(prediction, target, /, *, hyper-parameters)`."""
