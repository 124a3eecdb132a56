import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.budget import Budget
from pipeline.errors import InputError
from pipeline.params_file import load
from tests.models import small

LENGTHS = st.lists(st.integers(1, 10_000), min_size=1, max_size=60)
EPOCHS = st.integers(1, 100_000)


def budget(epochs=None, minutes=None):
    return Budget(epochs=epochs, minutes=minutes)


@given(LENGTHS, EPOCHS)
def test_together_they_have_no_more_than_the_budget_or_one_epoch_each(lengths, epochs):
    allowed = budget(epochs).among(lengths)

    given_ = [allowed.epochs(length) for length in lengths]

    assert all(1 <= has <= asked for has, asked in zip(given_, lengths, strict=True))
    assert sum(given_) <= allowed.most == min(sum(lengths), max(epochs, len(lengths)))
    # Rounding loses less than an epoch a fit.
    assert sum(given_) > allowed.most - len(lengths)
    ranked = sorted(zip(lengths, given_, strict=True))
    assert [has for _, has in ranked] == sorted(given_)


@given(st.integers(1, 100), st.integers(1, 1000), EPOCHS)
def test_fits_of_one_length_have_an_even_share_each(fits, length, epochs):
    allowed = budget(epochs).among([length] * fits)

    assert allowed.epochs(length) == min(length, max(1, epochs // fits))


@given(LENGTHS, EPOCHS)
def test_more_epochs_shorten_no_fit(lengths, epochs):
    less, more = (budget(one).among(lengths) for one in (epochs, epochs + 1))

    assert all(less.epochs(length) <= more.epochs(length) for length in lengths)


def test_fits_are_shortened_in_proportion():
    allowed = budget(100).among([200, 67, 20] * 3)

    assert [allowed.epochs(length) for length in (200, 67, 20)] == [22, 8, 3]


def test_settings_are_shortened_in_nothing_but_their_epochs():
    settings = small.settings(epochs=20, patience=9, decay_epochs=5)

    short = budget(30).among([20, 20]).shorten(settings)

    assert short == settings.model_copy(update={"epochs": 15})
    assert small.FREE.among([20, 20]).shorten(settings) == settings
    assert budget(30).among([20, 20]).shorten(small.RECIPE.changed({"epochs": 20})).epochs == 15


def test_minutes_are_shared_evenly():
    assert budget(minutes=6).among([1, 10, 100]).minutes == 2
    assert small.FREE.among([1]).minutes is None


def test_what_is_left_never_goes_below_nothing():
    left = budget(epochs=10, minutes=3).less(12, 4.5)

    assert (left.epochs, left.minutes) == (0, 0)
    assert [left.among([5, 5]).epochs(5), left.among([5, 5]).minutes] == [1, 0]
    assert small.FREE.less(12, 4.5) == small.FREE
    assert budget(10, 3).less(4, 1) == budget(6, 2)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("epochs: 0", "budget.epochs: 0 was given; input should be greater than or equal to 1"),
        ("epochs: 1.5", "budget.epochs: 1.5 was given; input should be a valid integer"),
        ("minutes: 0", "budget.minutes: 0 was given; input should be greater than 0"),
        ("minutes: .inf", "budget.minutes: Infinity was given"),
        ("hours: 1", "budget.hours: there is no such key; known here: epochs, minutes"),
    ],
)
def test_mistakes_name_the_key_and_what_is_allowed(tmp_path, line, told):
    name = line.split(":")[0]
    rest = [f"  {other}: null\n" for other in ("epochs", "minutes") if other != name]
    path = tmp_path / "params.yaml"
    path.write_text(
        "run: {runner: local, cluster: null, workers: 1, timeouts: {}, schedule: '0 3 * * *',\n"
        "  tracking: {tensorboard: false, mlflow: false, dvclive: false}}\n"
        f"budget:\n  {line}\n{''.join(rest)}"
    )

    with pytest.raises(InputError) as error:
        load({"budget": Budget}, path)

    assert f"{path}: {told}" in str(error.value)
