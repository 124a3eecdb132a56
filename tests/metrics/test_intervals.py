import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import classification, intervals
from metrics.intervals import Bootstrap, Sample

ACCURACY = {"accuracy": classification.accuracy}


def probabilities_with(right):
    """`(seeds, n, 2)` probabilities, and labels, so that `right` `(seeds, n)` says who is right."""
    right = np.atleast_2d(right)
    first = np.where(right, 0.9, 0.1).astype(np.float32)
    return np.stack([first, 1 - first], axis=2), np.zeros(right.shape[1], dtype=np.int64)


def accuracy_of(bootstrap, right):
    return bootstrap.sample(ACCURACY, *probabilities_with(right), None)["accuracy"]


def test_interval_of_a_share_is_the_binomial_one():
    bootstrap = Bootstrap(replicates=4000, level=0.95, seed=1)
    right = np.arange(400) < 320
    sample = accuracy_of(bootstrap, right)
    interval = bootstrap.interval(sample.value, sample.draws)
    error = np.sqrt(0.8 * 0.2 / 400)
    assert interval.value == pytest.approx(0.8)
    assert interval.low == pytest.approx(0.8 - 1.96 * error, abs=0.004)
    assert interval.high == pytest.approx(0.8 + 1.96 * error, abs=0.004)
    assert sample.draws.std() == pytest.approx(error, rel=0.05)


def test_coverage_of_the_true_share():
    random = np.random.default_rng(2)
    bootstrap = Bootstrap(replicates=300, level=0.9, seed=3)
    covered = 0
    for _ in range(300):
        sample = accuracy_of(bootstrap, random.random(200) < 0.7)
        interval = bootstrap.interval(sample.value, sample.draws)
        covered += interval.low <= 0.7 <= interval.high
    # 270 are expected, with a standard error of 5.
    assert 245 <= covered <= 290


def test_a_paired_difference_is_narrower_than_an_unpaired_one():
    random = np.random.default_rng(4)
    reference = random.random(500) < 0.8
    better = reference.copy()
    better[np.flatnonzero(~reference)[:25]] = True
    bootstrap = Bootstrap(replicates=2000, level=0.95, seed=5)
    first, second = accuracy_of(bootstrap, better), accuracy_of(bootstrap, reference)
    paired = bootstrap.difference(first, second)
    assert paired.value == pytest.approx(0.05)
    # Only 25 of 500 examples differ, all in one direction: the closed form of their share.
    assert paired.low == pytest.approx(0.05 - 1.96 * np.sqrt(0.05 * 0.95 / 500), abs=0.004)
    unpaired = bootstrap.interval(
        float(first.value - second.value), first.draws - random.permutation(second.draws)
    )
    assert paired.high - paired.low < 0.6 * (unpaired.high - unpaired.low)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_over_seeds_alone_the_interval_is_student_s(seeds):
    n = 10
    scores = np.random.default_rng(seeds).integers(0, n + 1, seeds)
    right = np.arange(n) < scores[:, np.newaxis]
    bootstrap = Bootstrap(replicates=40_000, level=0.95, seed=6)
    # The examples are all alike to a figure that is of each seed's share.
    figures = {"it": lambda said, truth, weights: np.full(len(weights), said[:, 0].mean())}
    sample = bootstrap.sample(figures, *probabilities_with(right), None)["it"]
    interval = bootstrap.interval(float(sample.value), sample.draws)
    shares = probabilities_with(right)[0][:, :, 0].mean(axis=1)
    exact = scipy.stats.t.interval(
        0.95, seeds - 1, shares.mean(), shares.std(ddof=1) / np.sqrt(seeds)
    )
    width = exact[1] - exact[0]
    assert (interval.low, interval.high) == pytest.approx(exact, abs=0.05 * width)


def test_three_seeds_that_differ_by_chance_prove_a_gain_no_more_often_than_promised():
    """Of two recipes that are equally good, where seeds matter more than examples do."""
    random = np.random.default_rng(16)
    bootstrap = Bootstrap(replicates=400, level=0.9, seed=17)
    proven, n = 0, 2000
    for _ in range(200):
        shares = np.clip(random.normal(0.8, 0.03, (2, 3, 1)), 0, 1)
        one, other = (accuracy_of(bootstrap, random.random((3, n)) < held) for held in shares)
        apart = bootstrap.difference(one, other)
        proven += not apart.low <= 0 <= apart.high
    # 20 are expected, with a standard error of 4; seeds drawn from themselves gave 55.
    assert 6 <= proven <= 32


def test_a_group_counts_as_one():
    """Rows of one patient that are all right or all wrong tell what one row does."""
    random = np.random.default_rng(18)
    of_group = random.random(60) < 0.7
    units = np.repeat(random.permutation(60).astype(np.uint64) * 977, 40)
    right = np.repeat(of_group, 40)
    bootstrap = Bootstrap(replicates=4000, level=0.95, seed=19)
    alone = accuracy_of(bootstrap, right)
    grouped = bootstrap.among(units)
    together = accuracy_of(grouped, right)
    share = of_group.mean()
    error = np.sqrt(share * (1 - share) / 60)
    assert together.value == pytest.approx(alone.value)
    assert together.draws.std() == pytest.approx(error, rel=0.05)
    assert alone.draws.std() == pytest.approx(error / np.sqrt(40), rel=0.05)
    shuffled = random.permutation(len(units))
    apart = accuracy_of(bootstrap.among(units[shuffled]), right[shuffled])
    assert apart.draws.std() == pytest.approx(error, rel=0.05)
    # All right: sixty groups are as sure as sixty examples.
    sure = accuracy_of(grouped, np.ones(len(units), dtype=bool))
    plain = bootstrap.share(1.0, sure.draws, 60)
    assert grouped.share(1.0, sure.draws, len(units)) == plain


def test_examples_that_are_groups_of_their_own_are_drawn_as_without():
    bootstrap = Bootstrap(replicates=50, level=0.95, seed=20)
    right = np.arange(30) < 20
    plain = accuracy_of(bootstrap, right)
    for units in (None, np.arange(30)[::-1]):
        assert accuracy_of(bootstrap.among(units), right).draws == pytest.approx(plain.draws)
    with pytest.raises(ValueError, match="units are of 2 examples, the truth is of 30"):
        accuracy_of(bootstrap.among(np.array([1, 1])), right)


def test_equally_many_seeds_are_drawn_in_pairs_and_others_apart():
    n = 1000
    shares = (0.6, 0.7, 0.8)
    right = np.stack([np.arange(n) < n * share for share in shares])
    bootstrap = Bootstrap(replicates=1000, level=0.95, seed=7)
    reference = accuracy_of(bootstrap, right)
    same = bootstrap.difference(accuracy_of(bootstrap, right), reference)
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)
    # The same recipes once more: a difference of nought that is not certain.
    doubled = accuracy_of(bootstrap, np.concatenate([right, right]))
    apart = bootstrap.difference(doubled, reference)
    assert apart.value == pytest.approx(0.0)
    assert apart.low < -0.05
    assert apart.high > 0.05


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 30),
    seeds=st.integers(1, 4),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_an_interval_holds_its_value_within_the_figure_s_bounds(n, seeds, share, seed):
    right = np.random.default_rng(seed).random((seeds, n)) < share
    bootstrap = Bootstrap(replicates=50, level=0.9, seed=seed)
    sample = accuracy_of(bootstrap, right)
    for interval in (
        bootstrap.interval(float(sample.value), sample.draws).within(0, 1),
        bootstrap.share(float(sample.value), sample.draws, n),
    ):
        assert 0 <= interval.low <= interval.value <= interval.high <= 1 + 1e-12


def test_all_right_is_not_certainty():
    bootstrap = Bootstrap(replicates=100, level=0.95, seed=8)
    sample = accuracy_of(bootstrap, np.ones(36, dtype=bool))
    interval = bootstrap.share(float(sample.value), sample.draws, 36)
    assert interval.low == pytest.approx(0.9026, abs=1e-4)  # Clopper-Pearson for 36 of 36
    assert interval.high == 1.0
    sample = accuracy_of(bootstrap, np.zeros(36, dtype=bool))
    interval = bootstrap.share(float(sample.value), sample.draws, 36)
    assert (interval.low, interval.high) == (0.0, pytest.approx(0.0974, abs=1e-4))


def test_draws_do_not_depend_on_the_size_of_blocks(monkeypatch):
    right = np.random.default_rng(9).random((3, 200)) < 0.7
    bootstrap = Bootstrap(replicates=100, level=0.95, seed=10)
    whole = accuracy_of(bootstrap, right)
    monkeypatch.setattr(intervals, "BLOCK", 7 * 200)
    parts = accuracy_of(bootstrap, right)
    assert (whole.draws == parts.draws).all()
    other = accuracy_of(Bootstrap(replicates=100, level=0.95, seed=11), right)
    assert not (whole.draws == other.draws).all()


def test_replicates_that_measure_nothing_are_left_out():
    bootstrap = Bootstrap(replicates=4, level=0.5, seed=12)
    draws = np.array([np.nan, 0.2, 0.4, np.nan])
    interval = bootstrap.interval(0.3, draws)
    assert (interval.low, interval.high) == (pytest.approx(0.25), pytest.approx(0.35))
    nothing = bootstrap.interval(np.nan, np.full(4, np.nan))
    assert np.isnan([nothing.low, nothing.high]).all()


def test_figures_by_class_keep_their_shape():
    bootstrap = Bootstrap(replicates=20, level=0.95, seed=13)
    probabilities, labels = probabilities_with(np.arange(50) % 5 > 0)
    sample = bootstrap.sample({"recall": classification.recall}, probabilities, labels, None)[
        "recall"
    ]
    assert isinstance(sample, Sample)
    assert sample.value.shape == (2,)
    assert sample.draws.shape == (20, 2)
    assert sample.value[0] == pytest.approx(0.8)


def test_importance_counts_wherever_an_example_is_drawn():
    bootstrap = Bootstrap(replicates=3000, level=0.95, seed=15)
    random = np.random.default_rng(15)
    right, importance = random.random(300) < 0.7, random.uniform(0.2, 5, 300)
    probabilities, labels = probabilities_with(right)
    sample = bootstrap.sample(ACCURACY, probabilities, labels, importance)["accuracy"]
    share = np.average(right, weights=importance)
    assert sample.value == pytest.approx(share)
    # The linearised error of a ratio of two sums (Cochran, "Sampling Techniques", 1977).
    error = np.sqrt((importance**2 * (right - share) ** 2).sum()) / importance.sum()
    assert sample.draws.std() == pytest.approx(error, rel=0.05)
    ones = bootstrap.sample(ACCURACY, probabilities, labels, np.ones(300, np.float32))["accuracy"]
    plain = bootstrap.sample(ACCURACY, probabilities, labels, None)["accuracy"]
    assert ones.draws == pytest.approx(plain.draws)


def test_examples_that_count_for_little_are_few():
    assert intervals.effective(36, None) == 36
    assert intervals.effective(36, np.full(36, 0.3, np.float32)) == pytest.approx(36)
    assert intervals.effective(3, np.array([1.0, 1.0, 0.0])) == pytest.approx(2)
    assert intervals.effective(2, np.array([3.0, 1.0])) == pytest.approx(1.6)


def test_wrong_shapes_are_refused():
    bootstrap = Bootstrap(replicates=5, level=0.95, seed=14)
    probabilities, labels = probabilities_with(np.ones(5, dtype=bool))
    with pytest.raises(ValueError, match=r"\(1, 5, 2\) for 4"):
        bootstrap.sample(ACCURACY, probabilities, labels[:4], None)
    with pytest.raises(ValueError, match="at least one"):
        bootstrap.sample(ACCURACY, probabilities[:, :0], labels[:0], None)
