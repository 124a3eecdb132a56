"""Graphs of networks, from their files alone."""

import zipfile
from pathlib import Path

import keras

from models import archive
from models.fitting import determinism
from tracking import drawing


def nested() -> keras.Model:
    """Two inputs into a network within the network, whose outputs are added to one of them."""
    determinism.start(1)
    first, second = (keras.Input((3,), name=name) for name in ("first", "second"))
    one, other = (keras.Input((3,), name=name) for name in ("one", "other"))
    joined = keras.layers.Concatenate(name="join")([keras.layers.ReLU(name="relu")(one), other])
    inner = keras.Model([one, other], keras.layers.Dense(3, name="dense")(joined), name="inner")
    total = keras.layers.Add(name="add")([inner([first, second]), second])
    return keras.Model([first, second], keras.layers.Dense(2, name="logits")(total))


def edges(path: Path) -> dict[str, list[str]]:
    graph = drawing.graph(path)
    assert graph is not None
    return {node.name: list(node.input) for node in graph.node}


def test_every_layer_is_a_node_and_knows_what_feeds_it(tmp_path: Path) -> None:
    archive.save(nested(), tmp_path / "model.keras")
    assert edges(tmp_path / "model.keras") == {
        "first": [],
        "second": [],
        "inner/one": ["first"],
        "inner/relu": ["inner/one"],
        "inner/other": ["second"],
        "inner/join": ["inner/relu", "inner/other"],
        "inner/dense": ["inner/join"],
        "add": ["inner/dense", "second"],
        "logits": ["add"],
    }
    graph = drawing.graph(tmp_path / "model.keras")
    assert graph is not None
    dense = next(node for node in graph.node if node.name == "inner/dense")
    assert dense.op == "Dense"
    assert dense.attr["units"].s == b"3"


def test_a_sequence_is_one_after_the_other(tmp_path: Path) -> None:
    layers = [keras.Input((4,), name="input"), keras.layers.Dense(2, name="a")]
    archive.save(keras.Sequential([*layers, keras.layers.ReLU(name="b")]), tmp_path / "s.keras")
    found = edges(tmp_path / "s.keras")
    assert found["a"] == ["input"]
    assert found["b"] == ["a"]


def test_what_is_no_network_has_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    assert drawing.graph(path) is None
    path.write_text("no archive")
    assert drawing.graph(path) is None
    for content in ("[]", "{}", '{"config": {"layers": [1]}}', '{"config": {"layers": []}}', "{"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", content)
        drawn = drawing.graph(path)
        assert drawn is None or not drawn.node
