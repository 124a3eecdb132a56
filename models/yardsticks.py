"""What a network must beat: the majority class and a linear model."""

import numpy as np
import numpy.typing as npt

from models import determinism
from models.training import encoded

ITERATIONS = 2000
"""Enough for standardised features; with fewer, scikit-learn warns and stops early."""


def predict(development: str) -> dict[str, npt.NDArray[np.float32]]:
    """Piece: validation probabilities `(n, classes)` of `majority` and `linear`.

    `majority` gives everyone the classes' shares among the training examples; `linear` is
    scikit-learn's logistic regression, with its default penalty, on the encoded features.
    """
    from sklearn.linear_model import LogisticRegression

    data = encoded(development)
    # Again, now that scikit-learn has brought its own threads.
    determinism.pin()
    shares = np.bincount(data.train_codes, minlength=len(data.classes)) / len(data.train_codes)
    linear = LogisticRegression(max_iter=ITERATIONS)
    linear.fit(data.train.reshape(len(data.train), -1), data.train_codes)
    flat = data.validation.reshape(len(data.validation), -1)
    return {
        "majority": np.tile(shares, (len(flat), 1)).astype(np.float32),
        "linear": linear.predict_proba(flat).astype(np.float32),
    }
