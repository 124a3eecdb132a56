"""`make bench`, second part: a table that is larger than memory should hold.

10 million rows of 30 columns in Parquet parts go through ingest, split and one epoch of the
baseline, each stage in a process of its own as DVC runs it. The peak of resident memory is that of
the stage and all its workers, sampled ten times a second. Then one epoch over the same training
rows is timed both ways, from memory and from a file, in the same run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.bench import ROOT, clone

ROWS, COLUMNS, PARTS = 10_000_000, 30, 20
GIB = 1 << 30
BATCH = 256


def write_parts(folder: Path, rows: int = ROWS) -> None:
    """Parquet parts of float32 columns and a target of two classes that follows from some."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    for part in range(PARTS):
        generator = np.random.default_rng(part)
        values = generator.normal(size=(COLUMNS, rows // PARTS)).astype(np.float32)
        noise = generator.normal(size=values.shape[1])
        label = np.where(values[0] * values[1] + values[2] + noise > 0, "yes", "no")
        columns = {f"x{place}": column for place, column in enumerate(values)}
        table = pa.table({**columns, "y": pa.array(label.tolist())})
        pq.write_table(table, folder / f"part-{part:02}.parquet")


def resident(process: psutil.Process) -> int:
    """Bytes of the process and its children; what they share is counted once for each."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def watched(command: list[str], root: Path) -> tuple[float, int, str]:
    """Seconds, peak resident bytes and standard output of a command."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(command, cwd=root, stdout=output, stderr=subprocess.STDOUT)
        process, peak = psutil.Process(child.pid), 0
        while child.poll() is None:
            peak = max(peak, resident(process))
            time.sleep(0.1)
        output.seek(0)
        text = output.read()
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}:\n{text}")
    return time.perf_counter() - start, peak, text


def configure(root: Path) -> None:
    """One epoch, one seed, one worker: what is measured is the data's way."""
    from ruamel.yaml import YAML

    yaml, path = YAML(), root / "params.yaml"
    content = yaml.load(path)
    content["run"]["workers"] = 1
    content["baseline"] |= {"seeds": [1]}
    content["recipe"] |= {"epochs": 1, "batch_size": BATCH}
    yaml.dump(content, path)


def epoch(development: Path, limit: int) -> dict[str, float]:
    """Rows a second of one epoch over the training rows; more than `limit` bytes go to a file."""
    from models.fitting import determinism, rows

    rows.IN_MEMORY_BYTES = limit
    from models import training
    from models.settings import Recipe
    from pipeline.params_file import read_raw

    determinism.start(1)
    data = training.encoded(str(development))
    from models.networks import network

    recipe = Recipe.of(read_raw()["recipe"]).changed({"epochs": 1, "batch_size": BATCH})
    built = network.build(data.shape, data.target.outputs, recipe.network, 1, data.layout)
    start = time.perf_counter()
    fitted = training.fit_to_target(built, data, recipe.fit, 1, "bench")
    took = time.perf_counter() - start
    return {"rows a second": len(data.train) / took, "loss": fitted.epochs[-1].val_loss}


def measure(rows: int = ROWS) -> dict[str, float]:
    """All figures by name."""
    figures: dict[str, float] = {}
    with clone() as root:
        write_parts(root / "data" / "big", rows)
        seconds, peak, _ = watched(["./fettle", "init", "data/big", "--target", "y", "--yes"], root)
        figures["init, s"], figures["init, peak GiB"] = seconds, peak / GIB
        configure(root)
        for stage in ("ingest", "split", "baseline"):
            seconds, peak, _ = watched(["./fettle", "stage", stage], root)
            figures[f"{stage}, s"], figures[f"{stage}, peak GiB"] = seconds, peak / GIB
        for name, limit in (("file", 1), ("memory", 1 << 60)):
            development = root / "artifacts" / "split" / "development"
            command = [sys.executable, "-B", "-m", "benchmarks.streaming", str(development)]
            _, peak, text = watched([*command, str(limit)], ROOT)
            found = json.loads(text.splitlines()[-1])
            figures[f"epoch from {name}, rows a second"] = found["rows a second"]
            figures[f"epoch from {name}, peak GiB"] = peak / GIB
        figures["epoch: speed from a file over speed from memory"] = (
            figures["epoch from file, rows a second"] / figures["epoch from memory, rows a second"]
        )
    return figures


def main() -> None:
    """Print the table and write benchmarks/streaming.json; with arguments, time one epoch."""
    if len(sys.argv) > 2:
        print(json.dumps(epoch(Path(sys.argv[1]), int(sys.argv[2]))))
        return
    figures = measure(int(os.environ.get("FETTLE_BENCH_ROWS", ROWS)))
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:12,.2f}")
    results = ROOT / "benchmarks" / "streaming.json"
    results.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
