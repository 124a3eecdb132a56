"""The graph of a Keras network as TensorBoard draws it: its layers and what flows between them.

Read from the configuration inside the .keras file. Nothing in the file is executed, and Keras,
which would need TensorFlow, is not loaded.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.versions_pb2 import VersionDef

SHOWN = 20
"""Settings of a layer at the most."""


def graph(model: Path) -> GraphDef | None:
    """One node a layer; a network within a network is a group of its own.

    None where the file holds no network whose layers could be told.
    """
    drawn = GraphDef(versions=VersionDef(producer=22))
    try:
        with zipfile.ZipFile(model) as archive:
            config = json.loads(archive.read("config.json"))
        _network(drawn, config["config"], "", {})
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, IndexError):
        return None
    return drawn


def _network(
    drawn: GraphDef, config: dict[str, Any], scope: str, outside: dict[str, list[str]]
) -> list[str]:
    """Draw the layers below `scope`; returns what its last ones are called.

    outside: by the name of an input layer the nodes that feed it.
    """
    ends: dict[str, list[str]] = {}
    before: list[str] = []
    for layer in config["layers"]:
        name = layer["config"]["name"]
        called = f"{scope}{name}"
        # Layers of a Sequential have no such list: each takes what the one before gives.
        nodes = layer.get("inbound_nodes")
        sources = list(_sources(nodes)) if nodes is not None else None
        feeding = before if sources is None else [end for source in sources for end in ends[source]]
        feeding = list(dict.fromkeys([*feeding, *outside.get(name, [])]))
        if "layers" in layer["config"]:
            inputs = _inputs(layer["config"])
            # Of several inputs each has its own source; a network called twice has more sources.
            paired = len(feeding) == len(inputs)
            fed = {one: feeding[n : n + 1] if paired else feeding for n, one in enumerate(inputs)}
            ends[name] = _network(drawn, layer["config"], f"{called}/", fed)
        else:
            node = drawn.node.add(name=called, op=layer["class_name"], input=feeding)
            for key, value in list(layer["config"].items())[:SHOWN]:
                if isinstance(value, bool | int | float | str):
                    node.attr[key].s = str(value).encode()
            ends[name] = [called]
        before = ends[name]
    outputs = list(dict.fromkeys(_layers_of(config.get("output_layers", []))))
    return [end for output in outputs for end in ends[output]] or before


def _sources(nodes: Any) -> Iterator[str]:
    """Names of the layers whose outputs a layer takes, wherever they stand in its calls."""
    if isinstance(nodes, dict):
        if "keras_history" in nodes:
            yield nodes["keras_history"][0]
            return
        nodes = list(nodes.values())
    if isinstance(nodes, list):
        for part in nodes:
            yield from _sources(part)


def _inputs(config: dict[str, Any]) -> list[str]:
    """Names of the input layers; of a Sequential the first one."""
    named = list(_layers_of(config.get("input_layers", [])))
    return named or [config["layers"][0]["config"]["name"]]


def _layers_of(places: Any) -> Iterator[str]:
    """Names in a layer, a list or a mapping of [name, node, tensor]."""
    if isinstance(places, dict):
        places = list(places.values())
    if isinstance(places, list) and len(places) == 3 and isinstance(places[0], str):
        yield places[0]
    elif isinstance(places, list):
        for place in places:
            yield from _layers_of(place)
