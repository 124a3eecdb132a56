import numpy as np
import pytest

from dataset import folding
from dataset.examples import Examples
from dataset.target import learn
from models import training
from models.networks import encode
from models.search import folded
from models.search.folded import relearned, thinned, told
from tests.models import small


def with_folds(development):
    """Two folds of the examples, of which every third row is in the second."""
    train, validation = development.train(), development.validation()
    rows = np.arange(len(train) + len(validation))
    development.write(
        Examples(train.features, train.targets, rows[: len(train)], train.weights),
        Examples(validation.features, validation.targets, rows[len(train) :], validation.weights),
        development.schema(),
        "none",
    )
    fold = (rows % 3 == 0).astype(np.int32)
    folding.write(
        [folding.Folding(fold, np.zeros_like(fold))], rows, development.path / "folds.parquet"
    )
    return development


@pytest.mark.parametrize("make", [small.table, small.pictures])
def test_a_fold_is_encoded_by_the_statistics_of_its_own_training_rows(tmp_path, make):
    development = with_folds(make(tmp_path))
    every = np.arange(development.count("train") + development.count("validation"))
    held = every[every % 3 == 0]
    trained = every[every % 3 != 0]
    whole = [development.train(), development.validation()]
    features = {
        name: np.concatenate([part.features[name] for part in whole]) for name in whole[0].features
    }
    own = {
        name: Examples(
            {key: values[places] for key, values in features.items()},
            np.concatenate([part.targets for part in whole])[places],
            places,
        )
        for name, places in (("train", trained), ("validation", held))
    }

    data = folded.encoded(str(development.path), 1, 1.0)

    statistics = encode.learn(own["train"], development.schema())
    assert data.statistics == statistics
    encoder = encode.build(statistics)
    np.testing.assert_array_equal(data.train[:], encode.run(encoder, own["train"]))
    np.testing.assert_array_equal(data.validation[:], encode.run(encoder, own["validation"]))
    truth, _ = told(development)
    np.testing.assert_array_equal(data.train_truth, truth[trained])
    np.testing.assert_array_equal(data.validation_truth, truth[held])


def test_a_fold_s_validation_rows_change_nothing_that_it_learns(tmp_path):
    development = with_folds(small.several(tmp_path, "regression"))
    before = folded.encoded(str(development.path), 0, 1.0)
    train, validation = development.train(), development.validation()

    development.write(spoiled(train), spoiled(validation), development.schema(), "none")
    after = folded.encoded(str(development.path), 0, 1.0)

    assert after.statistics == before.statistics
    assert after.target == before.target
    np.testing.assert_array_equal(after.train[:], before.train[:])
    np.testing.assert_array_equal(after.train_codes, before.train_codes)


def spoiled(examples):
    """The examples with nonsense in the rows that fold 0 validates on."""
    held = examples.rows % 3 != 0
    return Examples(
        {
            name: np.where(held, 1e6, values).astype(values.dtype)
            for name, values in examples.features.items()
        },
        np.where(held[:, None], 1e6, examples.targets).astype(np.float32),
        examples.rows,
        examples.weights,
    )


def test_both_parts_with_all_examples_are_those_of_every_stage(tmp_path):
    development = small.table(tmp_path)

    assert folded.encoded(str(tmp_path), None, 1.0) is training.encoded(str(tmp_path))
    assert development.count("train") == 120


def test_a_share_is_evenly_spread_and_leaves_validation_alone(tmp_path):
    small.table(tmp_path)
    whole = training.encoded(str(tmp_path))

    data = folded.encoded(str(tmp_path), None, 0.25)

    np.testing.assert_array_equal(data.train_truth, whole.train_truth[::4])
    np.testing.assert_array_equal(data.validation_truth, whole.validation_truth)
    assert data.target == whole.target


@pytest.mark.parametrize(
    ("count", "share", "taken"),
    [(8, 0.5, [0, 2, 4, 6]), (3, 0.1, [0]), (5, 1.0, [0, 1, 2, 3, 4]), (4, 0.75, [0, 1, 2])],
)
def test_some_of_the_places(count, share, taken):
    assert thinned(np.arange(count), share).tolist() == taken


def test_a_class_that_a_fold_lacks_stays_a_class():
    target = learn("classification", ("x",), np.array(["a", "b", "b", "c"]), "none", balanced=True)

    again = relearned(target, np.array([0, 1, 1, 1], dtype=np.int32))

    assert again.names == ("a", "b", "c")
    assert again.class_weights == (4 / 2, 4 / 6, 1.0)
