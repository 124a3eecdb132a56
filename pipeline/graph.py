"""The DAG, read from a flow's body by tracing it: the stages are called, nothing runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts import Artifact, Bundle, Given
from pipeline.declaration import Stage, through
from pipeline.params import Section

Flow = Callable[[Given], None]
"""A flow's body: calls of stage functions on typed artifacts, what the user gives first."""


@dataclass(frozen=True)
class Node:
    """One call of a stage in the flow."""

    stage: Stage
    inputs: dict[str, Artifact | Bundle]
    out: Bundle

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.stage.name

    def reads(self) -> list[Path]:
        """Paths of the artifacts it reads, in the signature's order, each once."""
        leaves = [leaf for artifact in self.inputs.values() for leaf in artifact.leaves()]
        return list(dict.fromkeys(leaf.path for leaf in leaves if leaf.path != Path()))

    def writes(self) -> list[Artifact]:
        """The artifacts it writes."""
        return self.out.leaves()


class _Trace:
    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def call(self, stage: Stage, inputs: dict[str, Artifact | Bundle], out: Bundle) -> None:
        if stage.name in (node.name for node in self.nodes):
            raise ValueError(f"stage {stage.name} is called twice in one flow")
        self.nodes.append(Node(stage, inputs, out))


def trace(flow: Flow, given: Given) -> list[Node]:
    """The flow's nodes in story order."""
    tracer = _Trace()
    with through(tracer):
        flow(given)
    return tracer.nodes


def sections(nodes: list[Node]) -> dict[str, type[Section]]:
    """The type of every section that a stage takes, by its name in params.yaml."""
    return {
        section: node.stage.sections[parameter]
        for node in nodes
        for parameter, section in node.stage.section_names().items()
    }


def needs(nodes: list[Node]) -> dict[str, list[str]]:
    """For each stage the stages whose results it reads, in story order."""
    maker = {leaf.path: node.name for node in nodes for leaf in node.writes()}
    return {
        node.name: list(dict.fromkeys(maker[path] for path in node.reads() if path in maker))
        for node in nodes
    }
