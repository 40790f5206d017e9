"""The losses and miners of pytorch-metric-learning, for lossbench."""
