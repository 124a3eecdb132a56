"""What a signature declares: artifacts, a stage's own section of params.yaml, and shared ones."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.training import training
from pipeline.artifacts import Bundle, Folder, Given, Raw, Source
from pipeline.declaration import Cost, stage
from pipeline.executor import Executor
from pipeline.graph import Node, sections, trace
from pipeline.params import Section
from pipeline.render import render
from tests.conftest import ROOT


class OvenParams(Section):
    """A stage's own section."""

    heat: float


class Taste(Section):
    """A section that stages share."""

    sweet: bool


@stage()
def oven(out: Bundle, dough: Folder, taste: Taste, params: OvenParams, executor: Executor) -> None:
    """Bake."""


@stage()
def eat(out: Bundle, dough: Folder, taste: Taste) -> None:
    """A stage without a section of its own."""


def test_a_parameter_that_is_a_section_is_no_artifact() -> None:
    assert oven.inputs == ["dough"]
    assert oven.sections == {"taste": Taste, "params": OvenParams}
    assert oven.section_names() == {"taste": "taste", "params": "oven"}
    assert oven.params_type is OvenParams
    assert oven.fans_out


def test_a_stage_may_have_shared_sections_alone() -> None:
    assert eat.inputs == ["dough"]
    assert eat.section_names() == {"taste": "taste"}
    assert eat.params_type is None
    assert not eat.fans_out


def test_a_cost_may_name_sections_that_the_stage_does_not_depend_on() -> None:
    @stage(
        cost=lambda params, kitchen: Cost(int(params.heat), kitchen.epochs),
        caution=lambda kitchen: f"{kitchen.epochs} cooks",
    )
    def oven(out: Bundle, dough: Folder, params: OvenParams) -> None:
        """Bake."""

    class Kitchen(Section):
        epochs: int

    sections = {"oven": OvenParams(heat=3.0), "kitchen": Kitchen(epochs=7)}
    assert oven.cost(sections) == Cost(3, 7)
    assert oven.caution(sections) == "7 cooks"
    assert oven.section_names() == {"params": "oven"}


def test_a_stage_is_called_with_artifacts_and_with_no_section() -> None:
    with pytest.raises(TypeError, match=r"oven takes 1 artifacts \(dough\), got 2"):
        oven(Folder(Path("dough")), Folder(Path("taste")))


def test_all_sections_are_known_by_their_names_in_the_file() -> None:
    nodes = [Node(one, {}, Bundle()) for one in (oven, eat)]
    assert sections(nodes) == {"oven": OvenParams, "taste": Taste}


def test_dvc_sees_a_stage_s_own_section_first_and_then_the_shared_one() -> None:
    nothing = Source(Path())
    given = Given(Raw(nothing, nothing), nothing, nothing, nothing)
    stages = YAML(typ="safe").load(render(trace(training, given), ROOT))["stages"]
    rendered = {name: entry["params"] for name, entry in stages.items()}
    sharing = {
        shared: {name for name, listed in rendered.items() if shared in listed and shared != name}
        for shared in ("objective", "recipe", "budget", "ingest")
    }
    assert sharing["objective"] == {
        *("search", "regularize", "finetune", "ensemble", "distill", "evaluate")
    }
    # What regularize begins with it has from the search or the baseline.
    assert sharing["recipe"] == {"baseline", "search", "distill"}
    assert sharing["budget"] == {"baseline", "search", "regularize", "finetune", "distill"}
    # How cells of unlabelled examples are read.
    assert sharing["ingest"] == {"distill"}
    for name, listed in rendered.items():
        assert listed == [name, *(shared for shared, stages in sharing.items() if name in stages)]
