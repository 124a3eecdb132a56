"""`fettle render`: what is derived from the flow, written or compared."""

from pathlib import Path

from pipeline.artifacts import replacing
from pipeline.errors import InputError
from pipeline.graph import needs
from pipeline.picture import draw
from pipeline.project import Project
from pipeline.render import DVC_YAML

PICTURE = Path("docs/dag.svg")


def write(project: Project) -> None:
    """Write dvc.yaml and docs/dag.svg."""
    for path, text in _texts(project).items():
        old = path.read_text(encoding="utf-8") if path.is_file() else None
        if old == text:
            print(f"{path}: unchanged")
            continue
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"{path}: written")


def check(project: Project) -> None:
    """Raise InputError where a committed file is not as rendered."""
    project.require_rendered()
    texts = _texts(project)
    if not PICTURE.is_file() or PICTURE.read_text(encoding="utf-8") != texts[PICTURE]:
        raise InputError(f"{PICTURE}: it is not what the code renders. Write it: ./fettle render")
    print("dvc.yaml and docs/dag.svg are as rendered.")


def _texts(project: Project) -> dict[Path, str]:
    edges = list(needs(project.nodes).items())
    labels = {node.name: node.stage.description for node in project.nodes}
    return {DVC_YAML: project.rendered(), PICTURE: draw(edges, labels)}
