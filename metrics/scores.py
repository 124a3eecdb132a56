"""Probabilities from logits, and what each costs, in NumPy."""

import numpy as np
import numpy.typing as npt

SMALLEST = 1e-7
"""Probabilities below count as this, so that one certain error does not cost everything."""


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """`(…, classes)` float32 probabilities of `(…, classes)` logits."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    values: npt.NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(
        np.float32
    )
    return values


def log_losses(
    probabilities: npt.NDArray[np.floating], codes: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """-log of the probability that `(n, classes)` gives to each of `(n,)` codes, `(n,)`."""
    true = probabilities[np.arange(len(codes)), codes].astype(np.float64)
    losses: npt.NDArray[np.float64] = -np.log(np.maximum(true, SMALLEST))
    return losses


def binary_log_losses(
    probabilities: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """-log of the probability given to what each of `(n, k)` labels is, `(n, k)`."""
    given = np.where(truth > 0.5, probabilities, 1 - probabilities.astype(np.float64))
    return -np.log(np.maximum(given.astype(np.float64), SMALLEST))


def sigmoid(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Float32 probabilities of logits of any shape, each by itself."""
    # The form that cannot overflow, on both sides of 0.
    values: npt.NDArray[np.float32] = (0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))).astype(
        np.float32
    )
    return values
