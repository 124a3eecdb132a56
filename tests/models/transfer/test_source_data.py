import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dataset.examples import Examples
from models import training
from models.networks import encode
from models.transfer import source_data
from pipeline.errors import InputError
from tests.models import small

TABLE = small.schema("number", "COLOUR")
GREY = small.schema(kind="pictures")
COLOUR = GREY.model_copy(update={"shape": (8, 8, 3)})


def frame(count=60, seed=5, **columns):
    rows = small.rows(count, seed)
    rows.features["number"] = np.arange(count, dtype=np.float32) / 7
    return pd.DataFrame(rows.features | {"label": rows.targets} | columns)


def written(folder, table, name="other.csv"):
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / name, index=False)
    return folder / name


def folders(folder, classes=("cat", "dog"), count=12, size=(14, 9), mode="RGB"):
    """Pictures of noise, a folder for each class."""
    generator = np.random.default_rng(1)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for place in range(count):
            values = generator.integers(0, 256, (*size, 3)).astype(np.uint8)
            Image.fromarray(values).convert(mode).save(folder / name / f"{place}.png")
    return folder


def test_a_table_s_features_are_read_as_the_target_s_and_others_passed_over(tmp_path):
    path = written(tmp_path, frame(strange=["a"] * 60)[["strange", "label", "COLOUR", "number"]])

    other = source_data.read(path, None, TABLE)

    assert list(other.examples.features) == ["number", "COLOUR"]
    assert other.examples.features["number"].dtype == np.float32
    assert (other.task, other.names) == ("classification", ("label",))
    assert set(other.examples.targets) == {"yes", "no"}


def test_a_missing_column_is_refused_by_name(tmp_path):
    path = written(tmp_path, frame().rename(columns={"COLOUR": "COLOR"}))

    with pytest.raises(InputError, match="no feature column 'COLOUR'; did you mean 'COLOR'"):
        source_data.check(path, None, TABLE)
    with pytest.raises(InputError, match="there is no target column 'LABEL'"):
        source_data.check(written(tmp_path, frame()), "LABEL", TABLE)


def test_a_cell_that_does_not_fit_is_refused_by_row(tmp_path):
    table = frame().astype({"number": object})
    table.loc[4, "number"] = "many"

    with pytest.raises(InputError, match="row 5, column 'number': 'many' is not a number"):
        source_data.check(written(tmp_path, table), None, TABLE)


def test_a_feature_is_no_target(tmp_path):
    with pytest.raises(InputError, match="'COLOUR' is one of the features"):
        source_data.check(written(tmp_path, frame()), "COLOUR", TABLE)


@pytest.mark.parametrize(
    ("task", "values", "kind"),
    [
        ("classification", ["1", "2"] * 30, "classification"),
        ("regression", ["a", "b"] * 30, "classification"),
        ("regression", list(range(60)), "regression"),
        ("multilabel", list(range(60)), "regression"),
    ],
)
def test_a_column_holds_classes_or_quantities(tmp_path, task, values, kind):
    path = written(tmp_path, frame(other=values))
    schema = small.schema("number", "COLOUR", task=task, targets=("one", "two"))

    assert source_data.read(path, "other", schema).task == kind


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_the_target_s_own_columns_are_read_as_what_they_are(tmp_path, task):
    values = np.tile([0, 1], 30)
    path = written(tmp_path, frame(one=values, two=1 - values))
    schema = small.schema("number", "COLOUR", task=task, targets=("one", "two"))

    other = source_data.read(path, None, schema)

    assert (other.task, other.names) == (task, ("one", "two"))
    np.testing.assert_array_equal(other.examples.targets, np.stack([values, 1 - values], axis=1))


def test_rows_without_a_target_are_left_out(tmp_path):
    table = frame()
    table.loc[[3, 8], "label"] = ""

    other = source_data.read(written(tmp_path, table), None, TABLE)

    assert other.examples.rows.tolist() == [row for row in range(60) if row not in (3, 8)]


def test_a_table_is_encoded_as_the_target_s_rows_are(tmp_path):
    development = small.table(tmp_path / "data")
    data = training.encoded(str(development.path))
    path = written(tmp_path, frame())

    task = source_data.task(data, str(development.path), path, None, 1)

    other = source_data.read(path, None, data.schema)
    every = encode.run(data.encoder(), other.examples)
    both = np.concatenate([task.train[0], task.validation[0]])
    np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(every, axis=0))
    assert len(task.validation[0]) == 12
    assert task.train[1].dtype == np.int32
    assert (task.outputs, task.kind) == (2, "classification")
    again = source_data.task(data, str(development.path), path, None, 1)
    np.testing.assert_array_equal(task.train[0], again.train[0])


def test_quantities_are_standardised_by_the_rows_to_train_on(tmp_path):
    development = small.table(tmp_path / "data")
    data = training.encoded(str(development.path))
    schema = data.schema.model_copy(update={"task": "regression", "targets": ("price",)})
    data = training.Encoded(**{**vars(data), "schema": schema})
    path = written(tmp_path, frame(price=np.arange(60) * 1000.0))

    task = source_data.task(data, str(development.path), path, None, 1)

    assert task.kind == "regression"
    assert task.train[1].mean() == pytest.approx(0, abs=1e-5)
    assert task.train[1].std() == pytest.approx(1, abs=1e-5)


def test_rows_that_validate_the_target_are_not_learned_from(tmp_path):
    development = small.table(tmp_path / "data")
    data = training.encoded(str(development.path))
    known = development.validation()
    copies = pd.DataFrame(known.features | {"label": known.targets})
    path = written(tmp_path, pd.concat([frame(), copies]))

    task = source_data.task(data, str(development.path), path, None, 1)

    assert len(task.train[0]) + len(task.validation[0]) == 60
    with pytest.raises(InputError, match="0 examples are left to train on"):
        source_data.task(data, str(development.path), written(tmp_path, copies), None, 1)


def test_no_more_are_taken_than_memory_has_room_for(tmp_path, monkeypatch):
    development = small.table(tmp_path / "data")
    data = training.encoded(str(development.path))
    monkeypatch.setattr(source_data, "IN_MEMORY_BYTES", 4 * data.shape[0] * 30)

    task = source_data.task(data, str(development.path), written(tmp_path, frame()), None, 1)

    assert len(task.train[0]) + len(task.validation[0]) == 30


def other(labels, parts=None, task="classification"):
    labels = np.array(labels, dtype=object if task == "classification" else np.float32)
    rows = np.arange(len(labels))
    told = None if parts is None else np.array(parts, dtype=object)
    return source_data.Other("here", Examples({"x": rows}, labels, rows), task, ("y",), told)


def test_a_fifth_of_every_class_validates():
    data = other(["a"] * 50 + ["b"] * 10 + ["c"])

    train, validation = source_data.parted(data, 1)

    assert sorted([*train, *validation]) == list(range(61))
    held = data.examples.targets[validation].tolist()
    assert (held.count("a"), held.count("b"), held.count("c")) == (10, 2, 0)
    np.testing.assert_array_equal(source_data.parted(data, 1)[1], validation)
    assert not np.array_equal(source_data.parted(data, 2)[1], validation)


@pytest.mark.parametrize(
    ("parts", "held"),
    [
        (["train"] * 12 + ["validation", "validation", "test"], [12, 13]),
        (["train"] * 12 + ["test"] * 3, [12, 13, 14]),
    ],
)
def test_the_data_s_own_parts_are_kept(parts, held):
    train, validation = source_data.parted(other(["a", "b", "b"] * 5, parts), 1)

    assert train.tolist() == list(range(12))
    assert validation.tolist() == held


def test_a_class_that_is_not_shown_does_not_validate():
    data = other(["a", "b"] * 6 + ["c", "a"], ["train"] * 12 + ["test"] * 2)

    assert source_data.parted(data, 1)[1].tolist() == [13]


def test_too_few_are_refused():
    with pytest.raises(InputError, match="8 examples are left to train on and 2"):
        source_data.parted(other(np.arange(10), task="regression"), 1)


@pytest.mark.parametrize(("schema", "mode"), [(GREY, "RGB"), (COLOUR, "L"), (COLOUR, "RGB")])
def test_pictures_are_brought_to_the_target_s_size_and_channels(tmp_path, schema, mode):
    path = folders(tmp_path / "other", mode=mode)

    source_data.check(path, None, schema)
    read = source_data.read(path, None, schema)

    [pictures] = read.examples.features.values()
    assert pictures.shape == (24, *schema.shape)
    assert sorted(set(read.examples.targets)) == ["cat", "dog"]
    if mode == "L":
        assert (pictures == pictures[..., :1]).all()


def bytes_development(folder):
    """Pictures of bytes, three quarters of them to train on."""
    development = small.pictures(folder)
    train, validation = (
        Examples(
            {"picture": (15 * part.features["picture"]).astype(np.uint8)}, part.targets, part.rows
        )
        for part in (development.train(), development.validation())
    )
    development.write(train, validation, GREY, "none")
    return development


def test_pictures_of_the_same_units_are_standardised_by_the_target_s_statistics(tmp_path):
    development = bytes_development(tmp_path / "data")
    data = training.encoded(str(development.path))
    path = folders(tmp_path / "other")

    task = source_data.task(data, str(development.path), path, None, 1)

    [pictures] = source_data.read(path, None, GREY).examples.features.values()
    expected = (pictures.astype(np.float64) - data.statistics.mean) / data.statistics.scale
    found = np.concatenate([task.train[0], task.validation[0]])
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0), atol=1e-5)
    assert len(task.validation[0]) == 4
    assert (task.outputs, task.kind) == (2, "classification")


def test_pictures_of_other_units_are_standardised_by_themselves(tmp_path):
    development = bytes_development(tmp_path / "data")
    data = training.encoded(str(development.path))
    generator = np.random.default_rng(1)
    path = tmp_path / "other.npz"
    np.savez(path, x=generator.random((40, 12, 12)), y=np.arange(40) % 4)

    source_data.check(path, None, GREY)
    task = source_data.task(data, str(development.path), path, None, 1)

    assert task.outputs == 4
    assert task.train[0].shape == (32, 8, 8, 1)
    assert task.train[0].mean() == pytest.approx(0, abs=1e-4)
    assert task.train[0].std() == pytest.approx(1, abs=1e-4)


def test_pictures_that_show_nothing_are_refused(tmp_path):
    development = bytes_development(tmp_path / "data")
    data = training.encoded(str(development.path))
    np.savez(tmp_path / "other.npz", x=np.zeros((40, 8, 8)), y=np.arange(40) % 4)

    with pytest.raises(InputError, match="all points of its pictures are alike"):
        source_data.task(data, str(development.path), tmp_path / "other.npz", None, 1)


def test_what_are_no_pictures_is_refused(tmp_path):
    with pytest.raises(InputError, match="a folder with a folder for each class, or an"):
        source_data.check(written(tmp_path, frame()), None, GREY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no folders of classes"):
        source_data.check(tmp_path / "empty", None, GREY)
    with pytest.raises(InputError, match="'label' names a column"):
        source_data.check(folders(tmp_path / "other"), "label", GREY)


def test_pickled_arrays_are_never_read(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("harm").touch, ())

    np.savez(tmp_path / "other.npz", x=np.array([Harm()], dtype=object), y=np.arange(1))

    with pytest.raises(InputError, match=r"other\.npz: x\.npy"):
        source_data.check(tmp_path / "other.npz", None, GREY)
    assert not (tmp_path / "harm").exists()
