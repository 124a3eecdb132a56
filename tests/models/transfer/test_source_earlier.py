import json
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from dataset.examples import PICTURE, Development, Examples
from dataset.pictures.decoding import fit
from models import archive, training
from models.fitting import determinism
from models.judging import ensembling
from models.networks import encode, network
from models.transfer import source_base, source_earlier
from pipeline.errors import InputError
from tests.models import small

GREY = small.schema(kind="pictures")


def pictures(folder, shape, unit=255, count=40):
    """Pictures of noise, as bytes or in other units."""
    values = unit * np.random.default_rng(sum(shape)).random((count, *shape))
    values = values.astype(np.uint8 if unit == 255 else np.float32)
    labels = np.array(["a", "b"] * (count // 2), dtype=object)
    every = Examples({PICTURE: values}, labels, np.arange(count))
    development = Development(folder)
    schema = GREY.model_copy(update={"shape": tuple(shape)})
    parts = [every.take(np.arange(30)), every.take(np.arange(30, count))]
    development.write(*parts, schema, "none")
    return development


def trained(development, folder, **spec):
    """The file of an earlier run's model, with weights that nothing but chance gave."""
    data = training.encoded(str(development.path))
    determinism.start(1)
    task = data.target.task
    built = network.build(data.shape, 2, small.spec(**spec), 1, data.layout, task)
    generator = np.random.default_rng(1)
    # Also those that would be 0 or 1, and hide what is left out.
    built.set_weights([held + generator.uniform(0, 0.2, held.shape) for held in built.weights])
    archive.save(network.assemble(data.encoder(), built, data.target), folder / "earlier.keras")
    return folder / "earlier.keras"


def base_of(path, development, folder):
    """What the base of a file is given, and what it gives, for validation examples."""
    data = training.encoded(str(development.path))
    source_earlier.write(path, data.statistics, data.schema, folder / "base.keras")
    made = archive.load(folder / "base.keras")
    assert made.name == "base"
    assert made.input_shape[1:] == data.shape
    return made, made(data.validation[:10], training=False).numpy()


def penultimate(path, raw):
    """What an earlier model's last layer is given for raw values."""
    model = archive.load(path)
    encoded = model.get_layer("encoder")(raw, training=False)
    trained = model.get_layer("network")
    before = keras.Model(trained.input, trained.get_layer("logits").input)
    return before(encoded, training=False).numpy()


def resized(values, size):
    """Floats, channel by channel, by the decoder of pictures."""
    planes = [
        [np.asarray(fit(Image.fromarray(np.ascontiguousarray(plane)), size)) for plane in picture]
        for picture in np.moveaxis(values.astype(np.float32), -1, 1)
    ]
    return np.moveaxis(np.array(planes), 1, -1)


@pytest.mark.parametrize("architecture", ["plain", "resnet"])
def test_features_are_those_of_the_earlier_network_on_the_same_pictures(tmp_path, architecture):
    earlier = pictures(tmp_path / "earlier", (8, 8, 1))
    spec = {"architecture": architecture, "flip": "both", "contrast": 0.3, "batch_norm": True}
    path = trained(earlier, tmp_path, **spec)
    here = small.pictures(tmp_path / "data")
    raw = 15 * here.validation().features[PICTURE]
    same = Examples({PICTURE: raw.astype(np.uint8)}, here.validation().targets, np.arange(40))
    development = Development(tmp_path / "here")
    # Other statistics than those that it was trained with.
    development.write(same, same, GREY, "none")

    source_earlier.check(path, GREY)
    made, features = base_of(path, development, tmp_path)

    expected = penultimate(path, {PICTURE: same.features[PICTURE][:10].astype(np.float32)})
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)
    assert expected.std() > 0.01
    names = [layer.name for layer in made.get_layer("trunk").layers]
    assert {"move", "contrast", "logits"}.isdisjoint(names)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ((8, 8, 3), (8, 8, 1)),
        ((6, 10, 1), (6, 10, 3)),
        ((8, 8, 1), (20, 12, 1)),
        ((12, 16, 1), (6, 8, 1)),
    ],
)
def test_pictures_are_brought_to_the_earlier_size_and_channels(tmp_path, there, here):
    path = trained(pictures(tmp_path / "earlier", there), tmp_path)
    development = pictures(tmp_path / "here", here)

    _, features = base_of(path, development, tmp_path)

    raw = development.validation().features[PICTURE][:10].astype(np.float32)
    if there[2] > here[2]:
        raw = np.repeat(raw, 3, axis=-1)
    elif there[2] < here[2]:
        raw = (raw @ np.float32([[0.299], [0.587], [0.114]])).astype(np.float32)
    # The middle of the longer side.
    raw = resized(raw[:, 4:16] if here == (20, 12, 1) else raw, there[:2])
    expected = penultimate(path, {PICTURE: raw})
    assert raw.shape[1:] == there
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3)


def test_pictures_of_other_units_are_shown_standardised(tmp_path):
    path = trained(pictures(tmp_path / "earlier", (8, 8, 1)), tmp_path)
    development = pictures(tmp_path / "here", (8, 8, 1), unit=1)

    _, features = base_of(path, development, tmp_path)

    data = training.encoded(str(development.path))
    trunk = source_base.cut(archive.load(path).get_layer("network"), "trunk")
    np.testing.assert_allclose(features, trunk(data.validation[:10], training=False), rtol=1e-5)


def test_a_network_in_an_earlier_network_is_carried_along(tmp_path):
    development = pictures(tmp_path / "data", (8, 8, 1))
    data = training.encoded(str(development.path))
    first = trained(development, tmp_path)
    made, _ = base_of(first, development, tmp_path)
    encoded = keras.Input(data.shape, name="input")
    logits = keras.layers.Dense(2, name="logits")(made(encoded))
    tuned = keras.Model(encoded, logits, name="network")
    nested = tmp_path / "nested.keras"
    archive.save(network.assemble(data.encoder(), tuned, data.target), nested)

    _, features = base_of(nested, development, tmp_path)

    raw = development.validation().features[PICTURE][:10].astype(np.float32)
    np.testing.assert_allclose(features, penultimate(nested, {PICTURE: raw}), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(features, penultimate(first, {PICTURE: raw}), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [small.table, small.texts])
def test_a_table_s_features_are_those_of_the_earlier_network(tmp_path, make):
    development = make(tmp_path / "data")
    path = trained(development, tmp_path, noise=0.1, feature_swap=0.1)

    _, features = base_of(path, development, tmp_path)

    model, rows = archive.load(path), development.validation().take(np.arange(10))
    encoded = encode.run(model.get_layer("encoder"), rows)
    own = model.get_layer("network")
    before = keras.Model(own.input, own.get_layer("logits").input)
    np.testing.assert_allclose(features, before(encoded, training=False), rtol=1e-5)
    assert features.std() > 0.01


def with_rows(folder, schema, **features):
    count = len(next(iter(features.values())))
    rows = small.examples(["a", "b"] * (count // 2), **features)
    development = Development(folder)
    development.write(rows, rows, schema, "none")
    return development


NUMBERS = [float(place) for place in range(20)]
BASIC = {"x": NUMBERS, "C": ["p", "q"] * 10, "text": ["one two", "two"] * 10}


@pytest.fixture(scope="module")
def basic(tmp_path_factory):
    """The file of a model that takes these columns."""
    folder = tmp_path_factory.mktemp("basic")
    return trained(with_rows(folder / "data", small.schema(*BASIC), **BASIC), folder)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"x": None, "y": NUMBERS}, "it takes 'x', which is not here; 'y' is here, and it does"),
        ({"C": None, "z": NUMBERS}, "it takes 'C', which is not here; 'z' is here"),
    ],
)
def test_other_columns_are_refused_before_anything_is_trained(basic, changes, advice):
    columns = {name: values for name, values in (BASIC | changes).items() if values}

    with pytest.raises(InputError, match=advice) as refused:
        source_earlier.check(basic, small.schema(*columns))

    assert "Give the model of an earlier run on the same columns" in str(refused.value)


def test_a_column_of_another_kind_is_refused(basic):
    schema = small.schema(*BASIC)
    kinds = {"C": "text", "text": "categorical"}
    columns = [
        one.model_copy(update={"type": kinds.get(one.name, one.type)}) for one in schema.columns
    ]

    with pytest.raises(InputError, match="'C' is categorical there and text here; 'text' is text"):
        source_earlier.check(basic, schema.model_copy(update={"columns": tuple(columns)}))


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"C": ["p", "r"] * 10}, "'C' has 2 categories here, among them 'r', which it does not"),
        ({"C": ["p"] * 20}, "'C' has 2 categories there, among them 'q', which is not here"),
        ({"C": ["q", "q", "q", "p"] * 5}, "the same categories here in another order"),
        ({"text": ["one three", "two"] * 10}, "'text' has 3 words here, among them 'three'"),
        ({"text": ["one two two", "two"] * 10}, "2 words of 'text' are read there, 3 here"),
        ({"x": [float("nan"), *NUMBERS[1:]]}, "no values of 'x' were missing there, and some are"),
    ],
)
def test_columns_that_are_encoded_otherwise_are_refused(basic, tmp_path, changes, advice):
    here = with_rows(tmp_path / "b", small.schema(*BASIC), **BASIC | changes)

    with pytest.raises(InputError, match=advice):
        base_of(basic, here, tmp_path)


def test_numbers_of_other_sizes_are_taken(basic, tmp_path):
    larger = BASIC | {"x": [3 * number + 1 for number in NUMBERS]}

    _, features = base_of(
        basic, with_rows(tmp_path / "b", small.schema(*BASIC), **larger), tmp_path
    )

    assert np.isfinite(features).all()


def test_a_model_of_the_other_kind_is_refused(tmp_path):
    table = trained(small.table(tmp_path / "table"), tmp_path)

    with pytest.raises(InputError, match="its model takes rows of a table, but the data are pict"):
        source_earlier.check(table, GREY)

    shown = trained(pictures(tmp_path / "pictures", (8, 8, 1)), tmp_path)
    with pytest.raises(InputError, match="its model takes pictures, but the data are a table"):
        source_earlier.check(shown, small.schema("number", "COLOUR"))


def test_an_ensemble_is_refused(tmp_path):
    development = small.table(tmp_path / "data")
    path = trained(development, tmp_path)
    members = (("one", str(path)), ("two", str(path)))
    joined = tmp_path / "joined.keras"
    ensembling.join(ensembling.Joining(str(development.path), members, str(joined)))

    with pytest.raises(InputError, match=r"is an ensemble.*\n.*one of its members instead"):
        source_earlier.check(joined, development.schema())


@pytest.fixture
def harm(tmp_path):
    """A file that code in a model would leave."""
    return tmp_path / "harm"


def with_lambda(path, harm):
    """A model of the right shape whose network holds code."""
    determinism.start(1)
    code = f"__import__('pathlib').Path({str(harm)!r}).touch()"
    inputs = {PICTURE: keras.Input((8, 8, 1), name=PICTURE)}
    encoder = keras.Model(inputs, keras.layers.Rescaling(1)(inputs[PICTURE]), name="encoder")
    encoded = keras.Input((8, 8, 1), name="input")
    flat = keras.layers.Flatten()(encoded)
    odd = keras.layers.Lambda(eval(f"lambda x: (x, {code})[0]"), output_shape=(64,))(flat)  # noqa: S307
    logits = keras.layers.Dense(2, name="logits")(odd)
    trunk = keras.Model(encoded, logits, name="network")
    keras.Model(inputs, trunk(encoder(inputs))).save(path)
    harm.unlink(missing_ok=True)


def test_code_in_a_file_is_never_executed(tmp_path, harm):
    path = tmp_path / "model.keras"
    with_lambda(path, harm)

    with pytest.raises(InputError, match="would run code from the file"):
        source_earlier.check(path, GREY)

    assert not harm.exists()


def test_code_that_is_not_recognised_is_not_executed_either(tmp_path, harm, monkeypatch):
    path = tmp_path / "model.keras"
    with_lambda(path, harm)
    monkeypatch.setattr("models.inspection.CODE", ())

    with pytest.raises(InputError, match="not a Keras model that can be read") as refused:
        source_earlier.check(path, GREY)

    assert len(str(refused.value).splitlines()) == 2
    assert not harm.exists()


@pytest.mark.parametrize("kept", [10, 0.5, 0.9])
def test_a_truncated_file_is_refused(basic, tmp_path, kept):
    path = tmp_path / "model.keras"
    whole = basic.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])

    with pytest.raises(InputError, match="not a readable") as refused:
        source_earlier.check(path, small.schema(*BASIC))

    assert len(str(refused.value).splitlines()) == 2


def test_damaged_weights_are_refused(basic, tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(basic) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["model.weights.h5"] = members["model.weights.h5"][:2000]
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)

    with pytest.raises(InputError, match="not a Keras model that can be read"):
        source_earlier.check(path, small.schema(*BASIC))


def test_what_is_no_model_is_refused(tmp_path):
    text, other = tmp_path / "text.keras", tmp_path / "model.h5"
    text.write_text("a letter")
    other.write_text("a letter")
    described = tmp_path / "described.keras"
    with zipfile.ZipFile(described, "w") as file:
        file.writestr("config.json", json.dumps(["nothing"]))

    for path, why in (
        (text, "not a readable .keras file"),
        (other, "a model of an earlier run is a .keras file"),
        (tmp_path, "a model of an earlier run is a .keras file"),
        (described, 'it has no layers "encoder" and "network"'),
    ):
        with pytest.raises(InputError, match=why):
            source_earlier.check(path, GREY)


def test_a_model_of_something_else_is_refused_with_what_would_fit(tmp_path):
    path = tmp_path / "own.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(path)

    with pytest.raises(InputError, match='no layers "encoder" and "network"') as refused:
        source_earlier.check(path, GREY)

    assert "artifacts/evaluate/chosen" in str(refused.value)
