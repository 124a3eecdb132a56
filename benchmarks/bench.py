"""`make bench`: what a run costs, and what the pipeline adds to the training itself.

Everything is measured in one run on one machine, in a fresh clone of the last commit with a Prefect
server of its own, so the ratios hold where the seconds do not.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.bare import fits

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5
"""Times a short command is run; its median is quoted."""
TURNS = 3
"""Times that the whole default run and the bare script are, in turns."""


@contextmanager
def clone() -> Iterator[Path]:
    """A fresh clone of the last commit; its server is stopped and the folder removed."""
    with tempfile.TemporaryDirectory(prefix="fettle-bench-") as folder:
        root = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
        (root / ".venv").symlink_to(Path(sys.prefix))
        try:
            yield root
        finally:
            call(root, "./fettle", "server", "stop")


def call(root: Path, *command: str) -> str:
    """Run a command in `root`; returns what it printed."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT")
    }
    done = subprocess.run(
        command,
        cwd=root,
        env=environment | {"DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def median(action: Callable[[], object]) -> float:
    """Median wall-clock seconds over REPEATS calls, after one that does not count."""
    action()
    return statistics.median(seconds(action) for _ in range(REPEATS))


def empty_stages(folder: Path) -> Path:
    """A DVC repository with nine stages that copy a line, up to date: DVC's own cost."""
    root = folder / "empty"
    root.mkdir()
    dvc = str(Path(sys.prefix) / "bin" / "dvc")
    call(root, "git", "init", "--quiet")
    call(root, dvc, "init", "--quiet")
    (root / "0").write_text("line\n")
    stages = "".join(
        f"  s{n}:\n    cmd: cp {n} {n + 1}\n    deps: ['{n}']\n    outs: ['{n + 1}']\n"
        for n in range(9)
    )
    (root / "dvc.yaml").write_text(f"stages:\n{stages}")
    call(root, dvc, "repro", "--quiet")
    return root


def spent(root: Path) -> dict[str, float]:
    """Seconds that the stages of the last run spent in fits, added up over the workers."""
    total: dict[str, float] = {"stages": 0.0, "fit": 0.0, "piece": 0.0}
    for path in sorted(root.glob("artifacts/*/timing.json")):
        timing = json.loads(path.read_text(encoding="utf-8"))
        total["stages"] += timing["seconds"]
        for name in ("fit", "piece"):
            total[name] += timing["spans"].get(name, 0.0)
    return total


def turn() -> dict[str, float]:
    """A whole default run in a fresh clone, and a bare script that makes the same fits."""
    with clone() as root:
        found = {"run": seconds(lambda: call(root, "./fettle", "run")), **spent(root)}
        params = YAML(typ="safe").load(root / "params.yaml")
        made = fits(root, params["finetune"]["pictures"])
        told = root / "fits.json"
        told.write_text(json.dumps(made), encoding="utf-8")
        python = str(Path(sys.prefix) / "bin" / "python")
        script = [python, "-B", "-m", "benchmarks.bare", str(told)]
        found |= {"bare": seconds(lambda: call(ROOT, *script)), "fits": len(made)}
    return found


def whole_runs() -> dict[str, float]:
    """What the pipeline costs beside a bare script, or saves."""
    turns = [turn() for _ in range(TURNS)]
    found = {name: statistics.median(one[name] for one in turns) for name in turns[0]}
    return {
        "default run from nothing, server started, s": found["run"],
        "  of it in the stages, s": found["stages"],
        "  in fits, added up over two workers, s": found["fit"],
        "  in pieces, added up over two workers, s": found["piece"],
        "  fits": found["fits"],
        "bare Keras script of as many fits and epochs, s": found["bare"],
        "default run: ratio to the bare script": found["run"] / found["bare"],
    }


def measure() -> dict[str, float]:
    """All figures by name; seconds unless the name says otherwise."""
    dvc = str(Path(sys.prefix) / "bin" / "dvc")
    figures = whole_runs()
    with clone() as root:
        call(root, "./fettle", "run")
        figures["import of TensorFlow, s"] = median(
            lambda: call(root, str(Path(sys.prefix) / "bin" / "python"), "-c", "import tensorflow")
        )
        nothing = median(lambda: call(root, "./fettle", "run"))
        figures["run with nothing to do, server up, s"] = nothing
        repro = median(lambda: call(root, dvc, "repro"))
        figures["dvc repro with nothing to do, s"] = repro
        figures["fettle --help, s"] = median(lambda: call(root, "./fettle", "--help"))
        shutil.rmtree(root / "artifacts")
        figures["run that restores everything, s"] = seconds(lambda: call(root, "./fettle", "run"))
        with tempfile.TemporaryDirectory() as folder:
            empty = empty_stages(Path(folder))
            own = median(lambda: call(empty, dvc, "repro"))
        figures["dvc repro, nine empty stages, s"] = own
        figures["dvc repro: ratio to nine empty stages"] = repro / own
    return figures


def keep(figures: Mapping[str, float | None]) -> None:
    """Print figures as a table, and put them into benchmarks/results.json in place of older ones
    of the same names; None: a heading, which is printed alone."""
    width = max(map(len, figures))
    for name, value in figures.items():
        print(name if value is None else f"{name:<{width}}  {value:12,.2f}")
    path = ROOT / "benchmarks" / "results.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**kept, **figures}, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print the table, and keep it."""
    keep(measure())


if __name__ == "__main__":
    main()
