"""New data before a night begins: imports updated, tracked data pulled, files copied and tracked.

Each is declared in params.yaml (`run.nightly.fetch`). Where nothing changed, nothing is written.
"""

import filecmp
import logging
from pathlib import Path

from flows.commands import dvc, try_dvc
from pipeline.errors import EnvironmentFault, InputError
from pipeline.nightly_params import FetchParams
from pipeline.server_access import masked

log = logging.getLogger("fettle")


def fetch(root: Path, wanted: FetchParams) -> list[str]:
    """Bring the data below data/ up to date; returns what changed, in words.

    Raises InputError where a .dvc file or a source is not there, EnvironmentFault where a source
    does not answer or is being written to.
    """
    changed = []
    for name in (*wanted.update, *wanted.pull):
        if not (root / name).is_file():
            raise InputError(f"params.yaml: run.nightly.fetch: {name}: there is no such file.")
    for name in wanted.update:
        before = (root / name).read_bytes()
        dvc(root, "update", name)
        if (root / name).read_bytes() != before:
            changed.append(f"{name}: updated")
    for name in wanted.pull:
        if try_dvc(root, "status", "--quiet", name) is None:
            dvc(root, "pull", name)
            changed.append(f"{name}: pulled")
    for place, source in wanted.copy_from.items():
        if _copy(root, Path(source), Path(place)):
            changed.append(f"{place}: copied from {masked(source)}")
    for line in changed:
        log.info("new data: %s", line)
    return changed


def _copy(root: Path, source: Path, place: Path) -> bool:
    """Copy a file or folder and track it, unless it is there already; whether it was not."""
    from flows.placing import Arrival

    source = root / source.expanduser()
    if not source.exists():
        raise EnvironmentFault(f"{source}: there is no such file now, to be copied to {place}.")
    # Both: whoever copied it last may have been ended before it was tracked.
    if (
        _same(source, root / place)
        and try_dvc(root, "status", "--quiet", f"{place}.dvc") is not None
    ):
        return False
    before = _stamps(source)
    Arrival(source, place, place.stem).settle()
    if _stamps(source) != before:
        raise EnvironmentFault(
            f"{source} changed while it was copied to {place}, so the copy may be half of it.\n"
            "Let whoever writes it write another file and rename that in the end."
        )
    return True


def _files(path: Path) -> list[Path]:
    """A file itself, or all files of a folder."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _stamps(path: Path) -> list[tuple[Path, int, int]]:
    return [(file, file.stat().st_size, file.stat().st_mtime_ns) for file in _files(path)]


def _same(source: Path, place: Path) -> bool:
    """Whether both hold the same bytes under the same names."""
    if source.is_dir() != place.is_dir() or not place.exists():
        return False
    if not source.is_dir():
        return filecmp.cmp(source, place, shallow=False)
    names = [[file.relative_to(top) for file in _files(top)] for top in (source, place)]
    return names[0] == names[1] and all(
        filecmp.cmp(source / name, place / name, shallow=False) for name in names[0]
    )
