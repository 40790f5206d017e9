"""Backbones: (input_shape, output_shape) -> module. They know neither loss nor task."""
