"""`fettle init`: point the project at the user's own data."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter

from models.findings import Finding
from pipeline.artifacts import replacing
from pipeline.errors import EnvironmentFault, InputError
from pipeline.params_file import PARAMS, read_raw

DATA = Path("data")


@dataclass(frozen=True)
class Parting:
    """By which columns the examples are parted; at most one of the three is given."""

    group: str | None
    time: list[str]
    part: str | None

    def not_features(self) -> list[str]:
        """Columns that say where a row belongs, and nothing about new rows."""
        return [column for column in (self.group, self.part) if column is not None]

    def section(self) -> dict[str, Any]:
        """The values of params.yaml's section split that follow."""
        method = "time" if self.time else "column" if self.part else "stratified"
        return {
            "method": method,
            "group": self.group,
            "time": _in_line(self.time),
            "gap": 0,
            "part": self.part,
        }


def init(path: Path, target: str, ignore: list[str], parting: Parting) -> None:
    """Read the table at `path`, say what was understood, track it with DVC and set params.yaml.

    What lies outside data/ is copied there. Nothing is changed where the data cannot be learned
    from: InputError is raised first.
    """
    from models import findings
    from tasks.ingest import IngestParams, read_examples_file

    ignore = list(dict.fromkeys([*ignore, *parting.not_features()]))
    raw = read_raw()["ingest"]
    params = IngestParams(
        path=str(path), target=target, ignore=tuple(ignore), missing=tuple(raw["missing"]), allow=()
    )
    read = read_examples_file(path, params)
    known = [*read.examples.features, *read.aside]
    for name in parting.time:
        if name not in known:
            raise InputError(f"{path}: there is no time column {name!r}. There are: {known}.")
    place = _into_data(path)
    _track(place)
    _set_params(place, target, ignore, parting)
    _render()
    found = findings.look(read.examples, read.schema)
    for line in _understood(place, read.profile, found):
        print(line)


def _into_data(path: Path) -> Path:
    """The table's place below data/, relative to the project; copied there if it lies elsewhere."""
    home = (Path.cwd() / DATA).resolve()
    if path.resolve().is_relative_to(home):
        return DATA / path.resolve().relative_to(home)
    if home.is_relative_to(path.resolve()):
        raise InputError(f"{path}: the folder holds this project. Give a folder of a table's own.")
    place = DATA / (path.resolve().name if path.is_dir() else path.name)
    if place.exists() and place.is_dir() != path.is_dir():
        raise InputError(f"{place} is there, and is not what {path} is. Rename one of the two.")
    if path.is_dir():
        _copy_folder(path, place)
    else:
        with replacing(place) as temporary:
            shutil.copyfile(path, temporary)
    return place


def _copy_folder(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix="."))
    try:
        shutil.copytree(path, temporary / "new")
        # Moved away first: parts that the new table lacks must not be read along.
        if place.exists():
            place.rename(temporary / "old")
        (temporary / "new").rename(place)
    finally:
        shutil.rmtree(temporary)


def _track(place: Path) -> None:
    # Another process: DVC's command line says what it does, and how it failed, in its own words.
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", "--quiet", str(place)],
        capture_output=True,
        text=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        check=False,
    )
    if done.returncode:
        raise EnvironmentFault(f"dvc add {place} failed:\n{done.stderr.strip()}")


def _set_params(place: Path, target: str, ignore: list[str], parting: Parting) -> None:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    yaml.Representer = _Representer
    content: Any = yaml.load(PARAMS)
    content["ingest"] |= {
        "path": place.as_posix(),
        "target": target,
        "ignore": _in_line(ignore),
        "allow": _in_line([]),
    }
    content["split"] |= parting.section()
    # Drawn digits teach nothing about a table's columns; its own rows do.
    content["finetune"]["source"] = "masked"
    with replacing(PARAMS) as temporary:
        yaml.dump(content, temporary)


def _in_line(values: list[str]) -> CommentedSeq:
    """A list as `[a, b]`: with one item a line, the comment behind the key would be in its way."""
    sequence = CommentedSeq(values)
    sequence.fa.set_flow_style()
    return sequence


class _Representer(RoundTripRepresenter):
    """Writes None as `null`, as the file has it, rather than as nothing.

    A class of its own: representers are registered by class, and DVC uses the library's.
    """

    def represent_null(self, value: None) -> Any:
        """None as a YAML node."""
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_null)


def _render() -> None:
    from flows.render import write
    from pipeline.project import open_project

    write(open_project())


def _understood(place: Path, profile: dict[str, Any], found: Sequence[Finding]) -> list[str]:
    columns = profile["columns"]
    numeric = [column["name"] for column in columns if column["type"] == "numeric"]
    categorical = [column["name"] for column in columns if column["type"] == "categorical"]
    missing = {column["name"]: column["missing"] for column in columns if column["missing"]}
    classes = profile["classes"]
    shares = ", ".join(
        f"{label} {count:,} ({count / profile['rows']:.1%})"
        for label, count in list(classes.items())[:10]
    )
    return [
        f"{place}: {profile['rows']:,} rows, tracked by DVC ({place}.dvc)",
        f"task: {profile['task']}, target {profile['target']!r}, {len(classes)} classes",
        f"classes: {shares}{', …' if len(classes) > 10 else ''}",
        f"numeric columns ({len(numeric)}): {', '.join(numeric) or 'none'}",
        f"categorical columns ({len(categorical)}): {', '.join(categorical) or 'none'}",
        f"missing cells: {sum(missing.values()):,}"
        + (
            f" in {', '.join(f'{name} ({count:,})' for name, count in missing.items())}"
            if missing
            else ""
        ),
        *(f"note: {note}" for note in profile["notes"]),
        *(f"{finding.severity}: {finding}" for finding in found),
        "params.yaml and dvc.yaml are set. Next: ./fettle plan, then ./fettle run",
    ]
