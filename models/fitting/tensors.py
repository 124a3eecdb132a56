"""What a step of training hands about."""

from typing import Any

Tensors = list[Any]
"""TensorFlow's, one for each weight, or whatever it is that there are several of."""
