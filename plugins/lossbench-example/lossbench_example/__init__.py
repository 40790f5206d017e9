"""A worked example of a plugin: a dataset, a model and a configuration file."""
