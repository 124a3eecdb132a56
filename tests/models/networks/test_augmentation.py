import subprocess
import sys

import numpy as np
import pytest

from models import archive
from models.fitting import determinism, fit
from models.networks import augmentation, count, encode, network
from models.networks.layout import Layout, TextLayout
from tests.models import small

PICTURES = {
    "flip": "horizontal",
    "rotation": 10.0,
    "zoom": 0.1,
    "shift": 0.1,
    "crop": 0.2,
    "contrast": 0.3,
    "cutout": 0.25,
    "randaugment": 0.3,
}
TABLES = {"noise": 0.1, "feature_swap": 0.2, "word_dropout": 0.2}
MOVES = ("flip", "rotation", "zoom", "shift", "crop")
LAYERS = dict.fromkeys(MOVES, "move") | {
    "contrast": "contrast",
    "cutout": "cutout",
    "randaugment": "randaugment",
    "noise": "noise",
    "feature_swap": "swap",
    "word_dropout": "hide_words",
}
LAYOUT = Layout(4, (TextLayout("a", 5, ("x", "y", "z")),), 2, (0, 1, 2, 2))


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def built(kind, seed=1, **changes):
    shape, layout = ((8, 8, 1), None) if kind == "pictures" else ((9,), LAYOUT)
    return network.build(shape, 3, small.spec(**changes), seed, layout)


def names(model):
    return [layer.name for layer in model.layers]


def examples(kind, number=40):
    generator = np.random.default_rng(1)
    if kind == "pictures":
        return generator.normal(size=(number, 8, 8, 1)).astype(np.float32)
    values = generator.normal(size=(number, 9)).astype(np.float32)
    values[:, 2:4] = np.eye(2)[generator.integers(2, size=number)]
    values[:, 4:] = generator.integers(0, 5, (number, 5))
    return values


CASES = [("pictures", name, value) for name, value in PICTURES.items()]
CASES += [("table", name, value) for name, value in TABLES.items()]


@pytest.mark.parametrize("kind", ["pictures", "table"])
def test_without_any_the_network_is_what_it_was(kind):
    ours = built(kind)
    # Whatever concerns the other kind of data changes nothing either.
    other = built(kind, **(TABLES if kind == "pictures" else PICTURES))

    assert not set(names(ours)) & set(augmentation.CHANGES)
    assert names(other) == names(ours)
    kernel = ours.get_layer("conv_0" if kind == "pictures" else "text_0_embedding")
    initializer = getattr(kernel, "kernel_initializer", None) or kernel.embeddings_initializer
    assert initializer.seed == int(np.random.default_rng(1).integers(2**31))


@pytest.mark.parametrize(("kind", "name", "value"), CASES)
def test_each_setting_acts_in_training_and_never_at_inference(kind, name, value):
    plain, changing = built(kind), built(kind, **{name: value})
    values = examples(kind)

    assert [layer for layer in names(changing) if layer not in names(plain)] == [LAYERS[name]]
    for ours, theirs in zip(plain.get_weights(), changing.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    expected = plain(values, training=False).numpy()
    np.testing.assert_array_equal(changing(values, training=False), expected)
    np.testing.assert_array_equal(changing(values), expected)
    assert not np.array_equal(changing(values, training=True), expected)
    assert count.parameters(changing) == count.parameters(plain)
    assert count.multiply_adds(changing) == count.multiply_adds(plain)


@pytest.mark.parametrize(("kind", "settings"), [("pictures", PICTURES), ("table", TABLES)])
def test_they_come_in_order_with_seeds_of_their_own(kind, settings):
    every = built(kind, **settings)

    made = [layer for layer in names(every) if layer in augmentation.CHANGES]

    assert made == [name for name in augmentation.CHANGES if name in made]
    assert len(made) == len({LAYERS[name] for name in settings})
    assert names(every)[1] == made[0]
    assert len({every.get_layer(layer).seed for layer in made}) == len(made)
    weights = np.random.default_rng(1).integers(2**31, size=50)
    assert not {every.get_layer(layer).seed for layer in made} & set(weights.tolist())
    for name, value in settings.items():
        layer = LAYERS[name]
        alone = built(kind, **{name: value}).get_layer(layer)
        assert alone.seed == every.get_layer(layer).seed
        assert alone.seed != built(kind, seed=2, **{name: value}).get_layer(layer).seed


def test_the_numbers_of_a_table_are_told_by_its_layout():
    noisy = built("table", noise=0.5)
    values = examples("table")

    shown = noisy.get_layer("noise")(values, training=True).numpy()

    assert (shown[:, :2] != values[:, :2]).all()
    np.testing.assert_array_equal(shown[:, 2:], values[:, 2:])
    marked = network.build((3,), 2, small.spec(noise=0.5), 1, Layout(3, (), 0, (0, 0, 0)))
    assert "noise" not in names(marked)
    unknown = network.build((3,), 2, small.spec(noise=0.5, feature_swap=0.1), 1)
    assert unknown.get_layer("noise").numbers == 3
    assert unknown.get_layer("swap").groups == [0, 1, 2]


def fitted(development, **changes):
    """A network trained for two epochs with everything on, in a process like any other."""
    determinism.start(1)
    train = development.train()
    statistics = encode.learn(train, development.schema())
    encoder, target = encode.build(statistics), development.target()
    values, codes = encode.run(encoder, train), target.encode(target.truth(train.targets))
    own = small.spec(dropout=0.1, **changes)
    made = network.build(values.shape[1:], target.outputs, own, 1, statistics.layout)
    settings = small.settings(epochs=2)
    left = fit.fit(made, (values, codes), (values, codes), settings, 1, name="changed")
    return network.assemble(encoder, made, target), left, values


@pytest.mark.parametrize("kind", ["pictures", "table"])
def test_a_fit_with_everything_on_gives_the_same_bytes_twice(kind, tmp_path):
    folder = tmp_path / "development"
    pictures = kind == "pictures"
    development = small.pictures(folder) if pictures else small.texts(folder)
    settings = PICTURES if pictures else TABLES

    first, left, values = fitted(development, **settings)
    again, _, _ = fitted(development, **settings)
    plain, _, _ = fitted(development)

    archive.save(first, tmp_path / "a.keras")
    archive.save(again, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert not np.array_equal(first.get_weights()[-1], plain.get_weights()[-1])
    # What was validated is the network without its changes, and so is what is loaded.
    inner = archive.load(tmp_path / "a.keras").get_layer("network")
    np.testing.assert_allclose(inner(values[: len(left.outputs)]), left.outputs, atol=1e-5)
    np.testing.assert_array_equal(inner(values), inner(values, training=False))
    assert not np.array_equal(inner(values, training=True), inner(values, training=False))


@pytest.mark.doors
def test_a_process_that_built_nothing_can_load_them(tmp_path):
    paths = []
    for kind, settings in (("pictures", PICTURES), ("table", TABLES)):
        made = built(kind, **settings)
        paths.append(tmp_path / f"{kind}.keras")
        archive.save(network.clean(made), paths[-1])
        loaded = archive.load(paths[-1])
        for layer in set(names(made)) & set(augmentation.CHANGES):
            assert loaded.get_layer(layer).get_config() == made.get_layer(layer).get_config()
    script = (
        "import sys; from pathlib import Path; from models import archive\n"
        "for path in sys.argv[1:]: archive.load(Path(path))\n"
    )

    subprocess.run([sys.executable, "-c", script, *map(str, paths)], check=True)
