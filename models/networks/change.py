"""What changes examples while a network is trained, and only then."""

from typing import Any

import keras


class Change(keras.layers.Layer):  # type: ignore[misc]
    """A layer that changes examples in training, each by numbers of its own, and else nothing.

    `training` is False where nobody says otherwise. Keras's own layers of this kind take it to be
    True: a saved model that is called like a function would answer at random.

    The generator's state is no weight: it is neither counted nor copied, and a saved file holds the
    seed alone.
    """

    def __init__(self, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, values: Any, training: bool = False) -> Any:
        """`(n, …)` to the same shape."""
        return self.changed(values) if training else values

    def changed(self, values: Any) -> Any:
        """The same of training, always."""
        raise NotImplementedError

    def drawn(self, values: Any, numbers: int) -> Any:
        """`(n, numbers)` float32 from 0 up to 1, new ones at every call."""
        count = keras.ops.shape(values)[0]
        return keras.random.uniform((count, numbers), seed=self.generator)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "seed": self.seed}
