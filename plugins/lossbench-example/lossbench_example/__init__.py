"""A worked example of a plugin: a task, losses, a metric, datasets, a model, configuration."""
