"""`fettle status`: what is in place, what it took, and where the results and the server are."""

from collections.abc import Iterator

from pipeline import server
from pipeline.errors import shown
from pipeline.memory import Memory
from pipeline.plan import Step, plan
from pipeline.project import Project, open_project
from pipeline.timing import read


def show() -> None:
    """Print a line a stage, the last result, and the server."""
    project = open_project()
    params = project.params()
    project.require_rendered()
    for line in _stages(project, plan(project.nodes, params, Memory(project.root))):
        print(line)
    if (project.root / "artifacts/evaluate/chosen/choice.json").is_file():
        from flows.run import result

        print(*map(shown, result(project.root)), sep="\n")
    running = server.find(project.root)
    print(f"Prefect server: {running.ui_url if running else 'not running'}")


def _stages(project: Project, steps: list[Step]) -> Iterator[str]:
    words = {"current": "up to date", "restore": "can be restored", "run": "has to run"}
    for node, step in zip(project.nodes, steps, strict=True):
        timing = read(node, project.root)
        took = f"last run took {timing['seconds']:.1f} s" if timing else ""
        yield f"{step.name:<11} {words[step.action]:<16} {took}".rstrip()
