"""What kills, full disks and failing ones leave of DVC's files, put right before DVC reads them."""

import contextlib
import hashlib
import json
import logging
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import artifacts
from pipeline.errors import InputError
from pipeline.render import DVC_YAML
from pipeline.yaml_file import require_small

LOCK = Path("dvc.lock")
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
RWLOCK = Path(".dvc", "tmp", "rwlock")

log = logging.getLogger("fettle")


def dvc_lock(root: Path) -> None:
    """Set aside a dvc.lock that is empty, torn or damaged, and say so; DVC would refuse to start.

    Nothing is lost: each stage is found in the run cache by its inputs, and written anew.
    Raises InputError where it holds an unresolved merge, which only its user can decide.
    """
    from dvc.lock import LockError

    if _is_whole(root):
        return
    try:
        # DVC writes it in place: whoever is writing it now has not torn it.
        with _repository_lock(root):
            if not _is_whole(root):
                _set_aside(root)
    except LockError:
        # Held for longer than DVC waits: its next reader says by whom.
        return


def _is_whole(root: Path) -> bool:
    """Whether DVC can read dvc.lock and go by it; so it can where there is none."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from voluptuous import Invalid

    path = root / LOCK
    if not path.exists():
        return True
    content = path.read_bytes()
    text = content.decode("utf-8", errors="replace")
    if any(line.startswith(("<<<<<<<", ">>>>>>>")) for line in text.splitlines()):
        raise InputError(
            "dvc.lock holds an unresolved merge. Take either side "
            "(git checkout --ours dvc.lock) and run again."
        )
    try:
        require_small(path)
        # The parser in C: the lock is long, and only its shape matters here.
        lock = COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(content.decode("utf-8")))
        return _is_plausible(lock, root)
    except (YAMLError, Invalid, ValueError):
        return False


def _repository_lock(root: Path) -> Any:
    """DVC's own lock of the repository, as a context manager that raises its LockError."""
    from dvc.config import Config
    from dvc.lock import make_lock

    folder = root / ".dvc" / "tmp"
    folder.mkdir(exist_ok=True)
    hardlink = Config(str(root / ".dvc"))["core"].get("hardlink_lock", False)
    return make_lock(str(folder / "lock"), tmp_dir=str(folder), hardlink_lock=hardlink)


def _set_aside(root: Path) -> None:
    aside = root / ".fettle" / "dvc.lock.damaged"
    aside.parent.mkdir(exist_ok=True)
    (root / LOCK).replace(aside)
    log.warning("dvc.lock was empty, torn or damaged; set aside as %s", aside.relative_to(root))


def _is_plausible(lock: dict[str, Any], root: Path) -> bool:
    """Whether all stages are of this pipeline, and all hashes are such; DVC looks at neither, and
    would fail at the one and keep the other for ever."""
    from ruamel.yaml import YAML

    known = YAML(typ="safe").load((root / DVC_YAML).read_text(encoding="utf-8"))["stages"]
    return lock.get("stages", {}).keys() <= known.keys() and all(
        entry.get("hash", "md5") == "md5" and _is_hash(entry.get("md5"))
        for stage in lock.get("stages", {}).values()
        for entry in (*stage.get("deps", ()), *stage.get("outs", ()))
    )


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and HASH.fullmatch(value) is not None


def rwlock(root: Path) -> None:
    """Remove a torn list of who reads and writes what; DVC would call every stage busy.

    A whole one is left alone: DVC itself drops the entries of processes that are gone.
    """
    from dvc.lock import LockError, make_lock

    path = root / RWLOCK
    if not path.exists():
        return
    try:
        # DVC's own guard of the file: whoever is writing it now has not torn it.
        with make_lock(str(path) + ".lock", tmp_dir=str(path.parent)):
            try:
                json.loads(path.read_bytes())
            except ValueError:
                path.unlink()
                log.warning("%s was torn; removed", RWLOCK)
    except LockError:
        # Held for longer than DVC waits: its next reader says by whom.
        return


def leftovers(root: Path, stage: Any) -> None:
    """Remove half-written files beside the outputs of a stage, which DVC knows nothing of."""
    for folder in {(root / out.def_path).parent for out in stage.outs}:
        for path in artifacts.leftovers(folder):
            path.unlink()


def remembered(repo: Any, stage: Any) -> None:
    """Remove what DVC remembers of a stage's results and what is not as it was written, and say so.

    Records of runs and objects are filed under the hashes of their content. DVC trusts them: it
    would hand out an object of which a disk has lost a bit, and file what follows from it. Objects
    are read whole, which costs about as much as fetching them. Called in the repository's lock,
    with the hashes of the stage's dependencies as they are.
    """
    hashes = {out.hash_info.value for out in stage.outs if out.hash_info}
    for record in _records(repo, stage):
        hashes |= {out.get("md5") for out in record["outs"]}
    for one in sorted(filter(None, hashes)):
        _check_object(repo.cache.local, one)


def _records(repo: Any, stage: Any) -> Iterator[dict[str, Any]]:
    """What earlier runs with the same inputs left, as far as it is whole; the rest is removed."""
    from dvc.schema import COMPILED_LOCK_FILE_STAGE_SCHEMA
    from dvc.stage.cache import _can_hash, _get_cache_hash, _get_stage_hash
    from dvc.utils.serialize import ParseError, load_yaml
    from voluptuous import Invalid

    if not _can_hash(stage):
        return
    folder = Path(repo.stage_cache._get_cache_dir(_get_stage_hash(stage)))
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            record = COMPILED_LOCK_FILE_STAGE_SCHEMA(load_yaml(str(path)))
            whole = _get_cache_hash(record) == path.name
        except (ParseError, Invalid):
            whole = False
        if whole:
            yield record
        else:
            path.unlink()
            log.warning("%s: what was known of an earlier run was damaged; removed", stage.name)
    if folder.is_dir() and not any(folder.iterdir()):
        # A kill leaves such a folder too; DVC fails at one.
        folder.rmdir()


def _check_object(cache: Any, name: str) -> None:
    """Remove an object of DVC's cache that is not what its name says, or holds one such."""
    path = Path(cache.oid_to_path(name))
    if not path.is_file():
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != name.removesuffix(".dir"):
        path.unlink()
        log.warning("%s in DVC's cache was damaged; removed", name)
    elif name.endswith(".dir"):
        for entry in json.loads(path.read_bytes()):
            _check_object(cache, entry["md5"])


def hashes(root: Path) -> None:
    """Remove DVC's table of what files' hashes were, which is damaged; it is made again.

    It lies outside the project, below a folder that a repository can only tell once it is open,
    which it refuses; so one with another such folder is asked.
    """
    from dvc.config import Config
    from dvc.dirs import site_cache_dir
    from dvc.repo import Repo

    with tempfile.TemporaryDirectory() as elsewhere:
        with Repo(str(root), config={"core": {"site_cache_dir": elsewhere}}) as repo:
            name = Path(repo.site_cache_dir).name
        own = Config(str(root / ".dvc"))["core"].get("site_cache_dir")
    shutil.rmtree(Path(site_cache_dir(own)) / "repo" / name, ignore_errors=True)
    log.warning("DVC's table of hashes was damaged; removed")


def server_database(path: Path) -> None:
    """Set aside a Prefect server's database that is damaged; the server would answer with errors.

    It holds what its UI shows of earlier runs, and no result. Called before a server is started.
    """
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            whole = database.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
    except sqlite3.OperationalError:
        # Locked, for instance: whoever holds it finds out.
        return
    except sqlite3.DatabaseError:
        whole = False
    if not whole:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        log.warning("the Prefect server's database was damaged; set aside as %s", aside)
