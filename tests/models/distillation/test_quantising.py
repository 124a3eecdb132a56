import numpy as np
import pytest

from dataset.examples import Development
from models import archive, training
from models.candidate import Quantised
from models.distillation import lite, quantising
from models.fitting import determinism
from models.networks import count, network
from tests.models import small


def untrained(folder, development, **changes):
    """A saved model of untrained weights, and its network."""
    data = training.encoded(str(development.path))
    determinism.start(1)
    target = data.target
    spec = small.spec(width=8, depth=2, **changes)
    built = network.build(data.shape, target.outputs, spec, 1, data.layout, target.task)
    path = folder / "model.keras"
    archive.save(network.assemble(data.encoder(), built, target), path)
    return path, built


def quantised(folder, development, model, name="int8"):
    out = Quantised(folder / name)
    item = quantising.Quantising(str(development.path), str(model), str(out.path))
    quantising.quantise(item)
    return out


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"architecture": "separable", "batch_norm": True},
        {"activation": "gelu", "dropout": 0.3, "rotation": 10},
    ],
)
def test_a_network_of_pictures_says_nearly_the_same_in_8_bits(tmp_path, changes):
    development = small.pictures(tmp_path / "data")
    path, built = untrained(tmp_path, development, **changes)
    before = path.read_bytes()

    out = quantised(tmp_path, development, path)

    facts = out.facts.read()
    assert facts["enabled"]
    assert facts["reason"] is None
    assert facts["parameters"] == count.parameters(built)
    assert facts["multiply_adds"] == count.multiply_adds(built)
    assert facts["bytes"] == len(out.network.read_bytes())
    # Of weights in few layers, which is what is saved.
    assert (facts["bytes"] < facts["float_bytes"]) == (not changes.get("batch_norm"))
    whole = training.predict(archive.load(path), development.validation())
    assert out.predictions().shape == (1, *whole.shape)
    off = np.abs(out.predictions()[0] - whole)
    assert 0 < off.max() < 0.05
    np.testing.assert_allclose(out.predictions().sum(axis=2), 1, atol=1e-5)
    assert path.read_bytes() == before
    assert sorted(one.name for one in out.path.iterdir()) == [
        "facts.json",
        "network.tflite",
        "predictions.npz",
    ]


def test_twice_it_gives_the_same_bytes(tmp_path):
    development = small.pictures(tmp_path / "data")
    path, _ = untrained(tmp_path, development)
    outs = [quantised(tmp_path, development, path, name) for name in ("one", "two")]
    one, two = (small.contents(out.path) for out in outs)
    assert one == two


@pytest.mark.parametrize(
    ("changes", "layer", "off"),
    [
        ({}, "dense_0", 0.05),
        ({"numbers": "piecewise"}, "dense_0", 0.05),
        ({"numbers": "periodic"}, "dense_0", 0.05),
        ({"architecture": "tabm", "members": 2}, "shared_1", 0.1),
    ],
)
def test_weights_of_a_table_s_networks_are_whole_numbers(tmp_path, changes, layer, off):
    import tensorflow as tf

    development = small.table(tmp_path / "data")
    path, built = untrained(tmp_path, development, **changes)
    out = quantised(tmp_path, development, path)
    with lite.quietly():
        details = tf.lite.Interpreter(model_path=str(out.network)).get_tensor_details()
    kernel = built.get_layer(layer).kernel.shape[::-1]
    assert [one["dtype"] for one in details if tuple(one["shape"]) == kernel] == [np.int8]
    whole = training.predict(archive.load(path), development.validation())
    np.testing.assert_allclose(out.predictions()[0], whole, atol=off)


def test_narrow_bins_leave_numbers_what_they_were(tmp_path, monkeypatch):
    random = np.random.default_rng(4)
    parts = [small.rows(120, 1), small.rows(40, 2)]
    for part in parts:
        part.features["tail"] = np.exp(4 * random.normal(size=len(part))).astype(np.float32)
    development = Development(tmp_path / "data")
    development.write(*parts, small.schema("number", "COLOUR", "tail"), "none")
    path, _ = untrained(tmp_path, development, numbers="piecewise")
    whole = training.predict(archive.load(path), development.validation())

    def off(name):
        said = quantised(tmp_path, development, path, name).predictions()[0]
        return np.abs(said - whole).max()

    assert off("apart") < 0.02
    monkeypatch.setattr(quantising, "_has_vectors", lambda network: False)
    assert off("shared") > 0.04


def test_quantities_come_in_their_own_units(tmp_path):
    development = small.several(tmp_path / "data", "regression")
    path, _ = untrained(tmp_path, development)
    out = quantised(tmp_path, development, path)
    whole = training.predict(archive.load(path), development.validation())
    np.testing.assert_allclose(out.predictions()[0], whole, atol=0.1 * whole.std(axis=0).max())
    assert abs(out.predictions()[0][:, 0].mean() - 100) < 10


@pytest.mark.parametrize("error", [MemoryError("no room"), OSError(28, "No space left")])
def test_a_machine_without_room_says_nothing_about_the_network(tmp_path, error, monkeypatch):
    development = small.table(tmp_path / "data")
    path, _ = untrained(tmp_path, development)

    def fail(network, shown):
        raise error

    monkeypatch.setattr(quantising, "convert", fail)
    with pytest.raises(type(error)):
        quantised(tmp_path, development, path)


@pytest.mark.parametrize("data", ["texts", "strange"])
def test_what_cannot_be_converted_is_said_and_is_no_error(tmp_path, data, monkeypatch):
    development = (small.texts if data == "texts" else small.table)(tmp_path / "data")
    path, _ = untrained(tmp_path, development)
    if data == "strange":

        def refuse(network, shown):
            raise RuntimeError("Some ops are not supported: Strange.\nAnd much more.")

        monkeypatch.setattr(quantising, "convert", refuse)

    out = quantised(tmp_path, development, path)

    facts = out.facts.read()
    assert facts["enabled"] is False
    assert facts["bytes"] is None
    if data == "texts":
        assert "It reads texts" in facts["reason"]
    else:
        assert facts["reason"] == (
            "TensorFlow Lite cannot convert it: Some ops are not supported: Strange."
        )
    assert [one.name for one in out.path.iterdir()] == ["facts.json"]
