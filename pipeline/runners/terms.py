"""What the run asks of whoever works for it: see `host.Terms`."""

import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from pipeline.artifacts import replacing
from pipeline.runners.host import MAIN, SHARED, Terms, cpu

LOCK = Path("requirements.lock")
TOKENS = Path(".fettle/runners")
"""Where a file lies while a run is spread, by which workers know that they see its folder."""


def here(gpus: int) -> Terms:
    """For processes of this machine, which see all that the run sees and have `gpus` each."""
    environment = {name: value for name, value in os.environ.items() if name.startswith(SHARED)}
    if (spec := getattr(sys.modules["__main__"], "__spec__", None)) is not None:
        environment[MAIN] = spec.name
    return Terms(
        run=uuid4().hex[:12],
        root=os.getcwd(),
        token="",
        paths=tuple(path for path in sys.path if path),
        environment=environment,
        versions={},
        python="",
        avx2=False,
        vendor="",
        gpus=gpus,
    )


@contextmanager
def elsewhere(root: Path, gpus: int) -> Iterator[Terms]:
    """For workers of a cluster, which may see the folder at `root` or not."""
    terms = here(gpus)
    avx2, vendor = cpu()
    token = TOKENS / terms.run
    _write(root / token, terms.run)
    try:
        yield replace(
            terms,
            root=str(root),
            token=token.as_posix(),
            paths=(),
            versions=installed(root),
            python=sys.version.split()[0],
            avx2=avx2 and "ONEDNN_MAX_CPU_ISA" in os.environ,
            vendor=vendor,
        )
    finally:
        (root / token).unlink(missing_ok=True)


def installed(root: Path) -> dict[str, str]:
    """Versions here of the packages that requirements.lock names, as far as they are installed."""
    found = {}
    for name in re.findall(r"^([A-Za-z0-9._-]+)==", (root / LOCK).read_text("utf-8"), re.MULTILINE):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)
