import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from dataset.examples import PICTURE, Development, Examples
from models import training
from models.fitting import sample
from models.fitting.rows import BLOCK_ROWS, FileRows
from models.judging import yardsticks
from tests.models import small


def test_of_classes_the_shares_and_logistic_regression(tmp_path):
    development = small.table(tmp_path)

    found = yardsticks.predict(str(tmp_path))

    data = training.encoded(str(tmp_path))
    shares = np.bincount(data.train_codes) / 120
    assert list(found) == ["majority", "linear"]
    np.testing.assert_allclose(found["majority"], np.tile(shares, (40, 1)), rtol=1e-6)
    model = LogisticRegression(max_iter=2000).fit(data.train, data.train_codes)
    np.testing.assert_allclose(found["linear"], model.predict_proba(data.validation), atol=1e-4)
    assert all(values.dtype == np.float32 for values in found.values())
    assert development.target().outputs == found["linear"].shape[1]


def test_of_labels_one_regression_each_and_constant_ones_are_no_error(tmp_path):
    small.several(tmp_path, "multilabel")

    found = yardsticks.predict(str(tmp_path))

    data = training.encoded(str(tmp_path))
    weights = data.train_weights
    shares = (data.train_truth * weights[:, None]).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(found["majority"], np.tile(shares, (60, 1)), rtol=1e-5)
    for place in (0, 1):
        model = LogisticRegression(max_iter=2000)
        model.fit(data.train, data.train_truth[:, place], sample_weight=weights)
        expected = model.predict_proba(data.validation)[:, 1]
        np.testing.assert_allclose(found["linear"][:, place], expected, atol=1e-4)
    assert (found["linear"][:, 2] == 0).all()


@pytest.mark.parametrize("transform", ["none", "log", "quantile"])
def test_of_quantities_the_means_and_ridge_regression(transform, tmp_path):
    small.several(tmp_path, "regression", transform)

    found = yardsticks.predict(str(tmp_path))

    data = training.encoded(str(tmp_path))
    weights = data.train_weights
    means = np.average(data.train_truth, axis=0, weights=weights)
    assert list(found) == ["mean", "linear"]
    np.testing.assert_allclose(found["mean"], np.tile(means, (60, 1)), rtol=1e-5)
    model = Ridge().fit(data.train, data.train_codes, sample_weight=weights)
    codes = model.predict(data.validation)
    if transform == "log":
        codes = np.clip(codes, data.train_codes.min(axis=0), data.train_codes.max(axis=0))
    np.testing.assert_allclose(found["linear"], data.target.decode(codes), rtol=1e-3)
    error = np.abs(found["linear"] - data.validation_truth)
    assert (error < np.abs(found["mean"] - data.validation_truth))[:, 0].mean() > 0.8


def test_texts_are_bags_of_words(tmp_path):
    development = small.texts(tmp_path)

    found = yardsticks.predict(str(tmp_path))["linear"]

    data = training.encoded(str(tmp_path))
    assert (found.argmax(axis=1) == data.validation_truth).all()
    # The same by scikit-learn's own words: none is cut off or unknown here but short ones.
    train, validation = development.train(), development.validation()
    dense = data.layout.dense
    sides = [data.train[:, :dense]], [data.validation[:, :dense]]
    for text in data.layout.texts:
        vectorizer = CountVectorizer(
            token_pattern=r"\w+",
            preprocessor=lambda words, n=text.length: " ".join(words.lower().split()[:n]),
        )
        vectorizer.fit(train.features[text.name])
        for side, part in zip(sides, (train, validation), strict=True):
            counts = vectorizer.transform(part.features[text.name]).toarray()
            side.append(np.where(counts, 1 + np.log(np.maximum(counts, 1)), 0))
    model = LogisticRegression(max_iter=2000).fit(np.hstack(sides[0]), data.train_codes)
    np.testing.assert_allclose(found, model.predict_proba(np.hstack(sides[1])), atol=1e-3)


def test_large_pictures_are_averaged_down():
    pictures = np.random.default_rng(1).normal(size=(2, 40, 17, 3)).astype(np.float32)

    pooled = yardsticks._pooled(pictures)

    assert pooled.shape == (2, 14, 9, 3)
    np.testing.assert_allclose(pooled[0, 0, 0], pictures[0, :3, :2].mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(
        pooled[1, -1, -1], pictures[1, 39:, 16:].mean(axis=(0, 1)), rtol=1e-5
    )
    assert yardsticks._pooled(pictures[:, :16, :16]).shape == (2, 16, 16, 3)


def test_of_many_examples_some_are_enough_even_without_a_rare_class(tmp_path, monkeypatch):
    monkeypatch.setattr(yardsticks, "ROWS", 30)
    monkeypatch.setattr(yardsticks, "WORK", 1)
    raw = np.random.default_rng(1).normal(size=(200, 20, 20, 1)).astype(np.float32)
    labels = np.array(["a", "b"] * 99 + ["rare", "a"], dtype=object)
    raw[labels == "a"] += 0.5
    schema = small.schema(kind="pictures").model_copy(update={"shape": (20, 20, 1)})
    rows = Examples({PICTURE: raw}, labels, np.arange(200))
    Development(tmp_path).write(rows, rows.take(np.arange(50)), schema, "none")

    found = yardsticks.predict(str(tmp_path))["linear"]

    assert (found[:, 2] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == (labels[:50] == "b")).mean() > 0.9
    np.testing.assert_array_equal(found, yardsticks.predict(str(tmp_path))["linear"])


def test_a_sample_is_the_same_from_memory_and_from_a_file():
    values = np.arange(BLOCK_ROWS + 10, dtype=np.float32)[:, None]
    filed = FileRows((1,))
    filed.append(values)

    places = sample.spread(len(values), 1000, seed=1)

    assert len(set(places.tolist())) == 1000
    assert (np.diff(places) > 0).all()
    assert places.max() > BLOCK_ROWS * 0.9
    np.testing.assert_array_equal(sample.taken(filed, places)[:, 0], places)
    np.testing.assert_array_equal(sample.taken(values, places)[:, 0], places)
    np.testing.assert_array_equal(sample.spread(5, 10, seed=1), np.arange(5))
