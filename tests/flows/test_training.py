"""The DAG's laws, asserted on the graph itself."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.training import training
from models.search.space import Dimension
from pipeline.artifacts import Given, Raw, Source
from pipeline.graph import Node, needs, sections, trace
from pipeline.params_file import load
from pipeline.project import read_raw_data
from pipeline.render import dependencies, render
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def nodes() -> dict[str, Node]:
    return {node.name: node for node in trace(training, given())}


def given(path: str | None = None) -> Given:
    raw = Raw(Source(Path(path or "")), Source(Path("data/schema.yaml" if path else "")))
    nothing = Source(Path())
    return Given(raw, nothing, nothing, nothing)


def readers(nodes: dict[str, Node], path: str) -> list[str]:
    """Stages that read the artifact at `path` or anything inside it."""
    return [
        name
        for name, node in nodes.items()
        if any(read == Path(path) or Path(path) in read.parents for read in node.reads())
    ]


def test_the_raw_table_leads_to_split_alone_and_the_holdout_to_evaluate_alone(
    nodes: dict[str, Node],
) -> None:
    assert readers(nodes, "artifacts/ingest/table") == ["split"]
    assert readers(nodes, "artifacts/split/holdout") == ["evaluate"]
    assert Path("artifacts/split/promotion") in {one.path for one in nodes["split"].writes()}
    assert readers(nodes, "artifacts/split/promotion") == []
    assert "evaluate" not in {
        upstream
        for name, of in needs(list(nodes.values())).items()
        for upstream in of
        if name != "report"
    }


def test_facts_about_all_rows_reach_the_report_alone(nodes: dict[str, Node]) -> None:
    assert readers(nodes, "artifacts/ingest/profile.json") == ["report"]
    assert readers(nodes, "artifacts/split/summary.json") == ["report"]
    assert readers(nodes, "artifacts/ingest/findings.json") == ["report"]
    assert readers(nodes, "artifacts/split/findings.json") == ["report"]


def test_the_committed_dvc_yaml_is_the_rendered_one() -> None:
    from pipeline.params_file import read_raw

    path = read_raw(ROOT / "params.yaml")["ingest"]["path"]
    rendered = render(trace(training, given(path)), ROOT)
    assert (ROOT / "dvc.yaml").read_text() == rendered


def test_what_is_rendered_depends_on_the_code_and_the_path_alone(nodes: dict[str, Node]) -> None:
    own = render(trace(training, given("data/own.csv")), ROOT)
    plain = render(list(nodes.values()), ROOT)
    added = set(own.splitlines()) - set(plain.splitlines())
    assert added == {"      - data/own.csv", "      - data/schema.yaml"}


def test_a_list_of_pictures_depends_on_the_folder_that_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/schema.yaml").touch()
    for kind, path, tracked in (
        ("pictures", "data/birds/labels.csv", "data/birds"),
        ("pictures", "data/birds", "data/birds"),
        ("pictures", "data/birds.npz", "data/birds.npz"),
        ("table", "data/birds/labels.csv", "data/birds/labels.csv"),
    ):
        (tmp_path / "params.yaml").write_text(f"ingest: {{kind: {kind}, path: {path}}}\n")
        assert read_raw_data().data.path == Path(tracked)


def test_every_stage_depends_on_its_code_the_launcher_and_the_lock_file(
    nodes: dict[str, Node],
) -> None:
    for name, node in nodes.items():
        found = dependencies(node, ROOT)
        assert f"tasks/{name}.py" in found
        assert {"fettle", "requirements.lock"} <= set(found)
        others = {f"tasks/{other}.py" for other in nodes if other != name}
        assert not others & set(found), "a task must not import another"


def test_one_word_per_stage(nodes: dict[str, Node]) -> None:
    for name, node in nodes.items():
        assert node.stage.module == f"tasks.{name}"
        assert all(artifact.path.parts[:2] == ("artifacts", name) for artifact in node.writes())
    assert set(sections(list(nodes.values()))) == {*nodes, "objective", "budget", "recipe"}


def test_the_default_run_makes_at_most_39_fits(nodes: dict[str, Node]) -> None:
    params = load(sections(list(nodes.values())), ROOT / "params.yaml")
    costs = {name: node.stage.cost(params) for name, node in nodes.items()}
    assert 0 < sum(cost.fits for cost in costs.values()) <= 39
    assert all(cost.epochs >= cost.fits for cost in costs.values())


def test_the_cost_of_regularize_follows_search_which_it_does_not_depend_on(
    nodes: dict[str, Node],
) -> None:
    params = load(sections(list(nodes.values())), ROOT / "params.yaml")
    stage = nodes["regularize"].stage
    recipe: Any = params["recipe"]

    def epochs(**changes: Any) -> int:
        searched = params["search"].model_copy(update=changes)
        one = {"regularize": params["regularize"].model_copy(update={"techniques": {"a": {}}})}
        return stage.cost({**params, "search": searched, **one}).epochs

    seeds = stage.cost(params).fits
    assert epochs(set={}) == seeds * recipe.epochs
    assert epochs(set={"epochs": 33}) == seeds * 33
    assert epochs(set={"epochs": 33}, enabled=False) == seeds * recipe.epochs
    varied = {"epochs": Dimension(choice=(7, 44, 5))}
    assert epochs(set={}, space=varied) == seeds * 44
    assert "search" not in stage.section_names().values()


def test_importing_flows_and_pipeline_does_nothing(tmp_path: Path) -> None:
    script = f"""
import os, pathlib, pkgutil, sys
sys.path.insert(0, {str(ROOT)!r})
import flows, pipeline
for package in (flows, pipeline):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        __import__(module.name)
heavy = sorted({{"tensorflow", "keras", "keras_tuner", "sklearn", "matplotlib"}} & set(sys.modules))
assert not heavy, heavy
assert not os.listdir("."), os.listdir(".")
"""
    subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=tmp_path,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path.parent)},
    )


def test_make_check_is_green() -> None:
    # Without asking what became known of packages since: that says nothing of the code.
    command = ["make", "check", "AUDIT=no"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
