import pytest

from models.fitting import determinism


@pytest.fixture(autouse=True)
def _start() -> None:
    """As every piece begins, since Keras is used to make what is hostile."""
    determinism.start(1)
