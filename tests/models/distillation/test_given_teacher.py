import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from dataset.examples import Development
from models import archive, training
from models.distillation import given_teacher
from models.fitting import determinism
from models.training import SeedRun
from pipeline.errors import InputError
from tests.models import small

LAYERS = keras.layers


@pytest.fixture(autouse=True)
def _pinned():
    determinism.start(1)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two numbers, of which none is missing; the label follows from their sum."""
    return numbers(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return small.pictures(tmp_path_factory.mktemp("pictures"), count=60)


def numbers(folder, count=80):
    random = np.random.default_rng(3)
    x, y = random.normal(size=(2, count)).astype(np.float32)
    label = np.where(x + y > 0, "yes", "no")
    every = small.examples(label, x=x, y=y)
    half = np.arange(count) % 2 == 0
    development = Development(folder)
    development.write(
        every.take(np.flatnonzero(half)),
        every.take(np.flatnonzero(~half)),
        small.schema("x", "y"),
        "none",
    )
    return development


def load(path, development):
    return given_teacher.load(path, development, training.encoded(str(development.path)))


def sure(outputs=2, activation=None, scale=4.0, order=1):
    """A last layer that tells the sum of two numbers: logits of no and yes."""
    dense = LAYERS.Dense(outputs, activation=activation)
    dense.build((None, 2))
    columns = [scale] if outputs == 1 else [-scale * order, scale * order]
    dense.set_weights([np.tile(columns, (2, 1)), np.zeros(outputs)])
    return dense


def matrix(**options):
    return keras.Sequential([keras.Input((2,)), sure(**options)])


def named(shape=()):
    """Takes the columns by name, in another order than theirs."""
    inputs = {name: keras.Input(shape, name=name) for name in ("y", "x")}
    wide = [LAYERS.Reshape((1,))(inputs[name]) for name in ("y", "x")]
    return keras.Model(inputs, sure()(LAYERS.Concatenate()(wide)))


def told(development, scale=4.0):
    """The sum of the numbers, as what it makes the logits of."""
    train = development.train()
    return scale * (train.features["x"] + train.features["y"])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    "make",
    [
        matrix,
        lambda: matrix(activation="softmax"),
        lambda: matrix(outputs=1),
        lambda: matrix(outputs=1, activation="sigmoid"),
        named,
        lambda: named((1,)),
    ],
    ids=["logits", "softmax", "logit", "sigmoid", "named", "columns"],
)
def test_what_a_teacher_takes_and_gives_is_understood(tmp_path, table, make, suffix):
    path = tmp_path / f"teacher{suffix}"
    make().save(path)
    before = path.read_bytes()

    teacher = load(path, table)

    logits = teacher.outputs(None)
    assert logits.shape == (40, 2)
    # Only differences count. Probabilities hold no more than seven digits.
    once = 1 if "1" in str(make().output_shape) else 2
    expected = np.clip(once * told(table), -16, 16)
    close = np.abs(expected) < 8
    np.testing.assert_allclose((logits[:, 1] - logits[:, 0])[close], expected[close], atol=0.05)
    assert teacher.cost()[0] in (3, 6)
    more = table.validation()
    assert teacher.outputs(more).shape == (80, 2)
    assert teacher.hidden(more).shape == (80, 2)
    assert path.read_bytes() == before


def test_a_model_of_this_project_takes_raw_values(tmp_path):
    development = small.texts(tmp_path / "data")
    item = SeedRun(
        str(development.path),
        str(tmp_path),
        small.spec(),
        small.settings(epochs=8),
        1,
        "teacher",
    )
    training.train(item)
    path = tmp_path / "seed-1.keras"

    teacher = load(path, development)

    whole = archive.load(path)
    expected = training.predict(whole, development.train())
    logits = teacher.outputs(None)
    np.testing.assert_allclose(development.target().decode(logits), expected, rtol=1e-4, atol=1e-5)
    data = training.encoded(str(development.path))
    network = whole.get_layer("network")
    vector = keras.Model(network.input, network.get_layer("logits").input)
    np.testing.assert_allclose(teacher.hidden(None), vector(data.train), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_labels_and_quantities(tmp_path, task):
    development = small.several(tmp_path / "data", task, "log" if task == "regression" else "none")
    target = development.target()
    inputs = {name: keras.Input((), name=name) for name in ("x", "y")}
    x, y = (LAYERS.Reshape((1,))(inputs[name]) for name in ("x", "y"))
    if task == "regression":
        fixed = LAYERS.Rescaling(0.0, 7.0)(x)
        outputs = [LAYERS.Rescaling(5.0, 100.0)(x), LAYERS.Activation("exponential")(y), fixed]
    else:
        parts = [LAYERS.Rescaling(9.0)(x), LAYERS.Rescaling(9.0, -9.0)(LAYERS.Add()([x, y]))]
        parts.append(LAYERS.Rescaling(0.0, -9.0)(x))
        outputs = [LAYERS.Activation("sigmoid")(part) for part in parts]
    path = tmp_path / "teacher.keras"
    keras.Model(inputs, LAYERS.Concatenate()(outputs)).save(path)

    codes = load(path, development).outputs(None)

    truth, _ = development.truth("train")
    features = development.train().features
    if task == "regression":
        given = np.stack([100 + 5 * features["x"], np.exp(features["y"]), np.full(160, 7)], axis=1)
        np.testing.assert_allclose(codes, target.encode(given.astype(np.float32)), atol=1e-4)
        assert np.abs(codes - target.encode(truth))[:, 1].max() < 1e-4
    else:
        seen = np.abs(features["x"]) < 1
        np.testing.assert_allclose(codes[seen, 0], 9 * features["x"][seen], atol=0.1)
    assert load(path, development).hidden(None) is None


def test_pictures_come_in_the_teacher_s_size_and_channels(tmp_path, pictures):
    seen = []

    def model(shape):
        inputs = keras.Input(shape)
        return keras.Model(inputs, LAYERS.Dense(10)(LAYERS.Flatten()(inputs)))

    schema = pictures.schema()
    train = pictures.train()
    for shape in ((8, 8, 1), (16, 16, 3), (4, 4, 1)):
        teacher = model(shape)
        [fed] = given_teacher._feed(Path("it"), teacher, schema)(train)
        seen.append(np.asarray(fed))
        assert fed.shape == (45, *shape)
    raw = train.features["picture"]
    np.testing.assert_array_equal(seen[0], raw)
    # Values stay as they are, 0 to 16 here; colours of a grey picture are equal.
    assert seen[1].max() == pytest.approx(raw.max(), abs=2)
    np.testing.assert_array_equal(seen[1][..., 0], seen[1][..., 2])
    np.testing.assert_allclose(seen[2].mean(), raw.mean(), rtol=0.05)


def test_colours_become_grey(tmp_path):
    schema = small.coloured(tmp_path / "data").schema()
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, LAYERS.Dense(2)(LAYERS.GlobalAveragePooling2D()(inputs)))
    examples = small.coloured(tmp_path / "again").train()
    examples.features["picture"] = np.tile(
        np.array([255, 0, 0], np.uint8), (*examples.features["picture"].shape[:3], 1)
    )
    [fed] = given_teacher._feed(Path("it"), model, schema)(examples)
    np.testing.assert_allclose(fed, 255 * 0.299, rtol=1e-5)


def refused(path, development, words):
    with pytest.raises(InputError) as raised:
        load(path, development)
    assert words in str(raised.value)
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 3


def saved(folder, model, suffix=".keras"):
    path = folder / f"teacher{suffix}"
    model.save(path)
    return path


def test_what_does_not_suit_the_data_is_refused_with_words(tmp_path, table, pictures):
    wide = keras.Sequential([keras.Input((3,)), LAYERS.Dense(2)])
    refused(saved(tmp_path, wide), table, "the data have the columns x, y")
    other = keras.Sequential([keras.Input((2,)), LAYERS.Dense(3)])
    refused(saved(tmp_path, other), table, "it gives 3 numbers for an example, where 2 are needed")
    refused(saved(tmp_path, matrix(scale=np.nan)), table, "for 40 of 40 training examples")
    refused(saved(tmp_path, wide), pictures, "one input (height, width, channels)")
    words = keras.Input((), dtype="string", name="x")
    hashed = LAYERS.Hashing(num_bins=3, output_mode="one_hot")(LAYERS.Reshape((1,))(words))
    text = keras.Model(words, LAYERS.Dense(2)(hashed))
    refused(saved(tmp_path, text), table, "takes string, and the column x is numeric")


def test_a_teacher_whose_classes_stand_in_another_order_is_refused(tmp_path, table):
    path = saved(tmp_path, matrix(activation="softmax", order=-1))
    refused(path, table, "their order must be that of the classes no, yes")
    refused(path, table, "no better than who says the same of every one")


def test_what_is_no_model_is_refused_with_words(tmp_path, table):
    for name in ("none.keras", "teacher.pkl", "broken.keras", "broken.h5"):
        path = tmp_path / name
        if name != "none.keras":
            path.write_bytes(b"not a model")
    refused(tmp_path / "none.keras", table, "there is no such file")
    refused(tmp_path / "teacher.pkl", table, ".keras or an .h5 file")
    refused(tmp_path / "broken.keras", table, "not a Keras model that can be read")
    refused(tmp_path / "broken.h5", table, "not a Keras model that can be read")
    matrix().save_weights(tmp_path / "only.weights.h5")
    refused(tmp_path / "only.weights.h5", table, "it holds weights and no model")


def hostile(folder, suffix):
    """A model whose layer leaves a mark when it is run, from code in the file."""
    mark = folder / "executed"
    at = str(mark)
    layer = LAYERS.Lambda(lambda x: (open(at, "w").close(), x)[1], output_shape=(2,))
    model = keras.Sequential([keras.Input((2,)), layer, sure()])
    path = saved(folder, model, suffix)
    mark.unlink(missing_ok=True)
    return path, mark


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_file_is_not_run(tmp_path, table, suffix, monkeypatch):
    path, mark = hostile(tmp_path, suffix)
    refused(path, table, "would run code from the file")
    assert not mark.exists()
    # Keras refuses it as well, were it not seen before.
    monkeypatch.setattr("models.inspection.CODE", ())
    refused(path, table, "not a Keras model that can be read")
    assert not mark.exists()
    # The file is dangerous indeed.
    keras.models.load_model(path, compile=False, safe_mode=False)(tf.zeros((1, 2)))
    assert mark.exists()


def test_code_of_other_packages_is_not_looked_for(tmp_path, table):
    path = saved(tmp_path, matrix())
    with zipfile.ZipFile(path) as archived:
        members = {name: archived.read(name) for name in archived.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][-1] |= {
        "module": "os",
        "class_name": "system",
        "registered_name": "system",
    }
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archived:
        for name, content in members.items():
            archived.writestr(name, content)
    refused(path, table, "'system' comes from the Python module 'os'")


def test_costs_that_cannot_be_counted_are_none():
    determinism.start(1)
    inputs = keras.Input((4, 3))
    counted = keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Flatten()(inputs)))
    assert given_teacher.uncounted(counted) == []
    nested = keras.Sequential([inputs, LAYERS.LSTM(5, name="memory"), LAYERS.Dense(2)])
    assert given_teacher.uncounted(keras.Sequential([inputs, nested])) == ["memory"]
