"""What a kill leaves of the files that DVC writes in place, put right before DVC reads them."""

import json
import logging
from pathlib import Path

from pipeline.errors import InputError
from pipeline.yaml_file import require_small

LOCK = Path("dvc.lock")
RWLOCK = Path(".dvc", "tmp", "rwlock")

log = logging.getLogger("fettle")


def dvc_lock(root: Path) -> None:
    """Set aside a dvc.lock that is empty or torn, and say so; DVC would refuse to start.

    Nothing is lost: each stage is found in the run cache by its inputs, and written anew.
    Raises InputError where it holds an unresolved merge, which only its user can decide.
    """
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from voluptuous import Invalid

    path = root / LOCK
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    if any(line.startswith(("<<<<<<<", ">>>>>>>")) for line in text.splitlines()):
        raise InputError(
            "dvc.lock holds an unresolved merge. Take either side "
            "(git checkout --ours dvc.lock) and run again."
        )
    try:
        require_small(path)
        # The parser in C: the lock is long, and only its shape matters here.
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, Invalid, UnicodeDecodeError):
        aside = root / ".fettle" / "dvc.lock.damaged"
        aside.parent.mkdir(exist_ok=True)
        path.replace(aside)
        log.warning("dvc.lock was empty or torn; set aside as %s", aside.relative_to(root))


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
