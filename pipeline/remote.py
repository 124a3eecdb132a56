"""A DVC remote, asked for the one result that is wanted, and given what a run made.

DVC's own `dvc pull --run-cache` fetches every entry of the remote's run cache, one request each.
Here one folder is listed for a stage, that of its inputs' hash, so thousands of runs cost nothing.

Whoever can write to the remote is not believed further than need be. An entry has to be for this
stage and these inputs, by its own hash; every file is hashed once it is here; a folder's list may
not lead outside the folder. What the files say is theirs: see docs/remotes.md.
"""

import logging
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import InputError
from pipeline.yaml_file import read_yaml

log = logging.getLogger("fettle")

PATIENCE_SECONDS = 20.0
"""How long a remote may take to list one folder."""
LARGEST_ENTRY = 1 << 22
"""Bytes of an entry of the run cache at the most; they are lists of files by their hashes."""
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
ABOUT_OUTPUT = {"path", "hash", "md5", "size", "nfiles", "isexec"}
"""Keys that an output in an entry may have."""
LIBRARIES = ("dvc", "dvc_data", "dvc_objects", "asyncio", "asyncssh", "paramiko", "botocore")
"""Loggers that tell of addresses and keys where a transfer fails."""

Answer = TypeVar("Answer")


class Refused(Exception):
    """A remote holds something that is not what it says it is."""


class Remote:
    """The remote `name` of DVC's configuration, which may fall silent; then it is left alone."""

    def __init__(self, repo: Any, name: str) -> None:
        """Raises InputError where `repo`, DVC's, has no remote of that name."""
        remotes = repo.config["remote"]
        if name.lower() not in remotes:
            known = f"there are: {', '.join(remotes)}" if remotes else "there is none"
            raise InputError(
                f"params.yaml: run.remote: {name!r} was given; DVC knows no remote of that name, "
                f"{known}.\nAdd it with: .venv/bin/dvc remote add {name} URL"
            )
        # What arrives is hashed; DVC by itself believes a remote that is not a folder.
        remotes[name.lower()]["verify"] = True
        self.name = name
        self._repo = repo
        self._answers = True

    def fetch(self, stage: Any) -> bool:
        """Bring the results of a DVC stage with these inputs into the cache, if they are there.

        `stage` is as dvc.lock has it. Called in the repository's lock.
        """
        return bool(self._asked(lambda: self._fetch(stage), "the run goes on without it"))

    def push(self, stages: Iterable[Any]) -> bool:
        """Hand over the data, the stages' results and their entries in the run cache.

        An entry comes after what it tells of, so that it never promises what is not there.
        """
        return bool(self._asked(lambda: self._push(stages), "nothing more is pushed to it"))

    def _asked(self, question: Callable[[], Answer], so: str) -> Answer | None:
        if not self._answers:
            return None
        try:
            with silent(LIBRARIES):
                return question()
        except Refused as error:
            log.warning("remote %s: %s; it is not used", self.name, error)
        except Exception as error:
            # Of any class in the libraries behind it. Their words may hold addresses and keys.
            log.warning(
                "remote %s does not answer as it should (%s); %s. "
                "To see why: .venv/bin/dvc status --cloud --remote %s",
                self.name,
                type(error).__name__,
                so,
                self.name,
            )
        self._answers = False
        return None

    def _fetch(self, stage: Any) -> bool:
        from dvc.stage.cache import _can_hash, _get_stage_hash
        from dvc.stage.serialize import to_single_stage_lockfile

        if not _can_hash(stage):
            return False
        known = not stage.changed_stage() and stage.deps_cached()
        if known and all(out.hash_info for out in stage.outs):
            self._answering()
            if self._bring(stage, to_single_stage_lockfile(stage)):
                return True
        if not self._listed:
            return False
        stage.save_deps()
        key = _get_stage_hash(stage)
        for value, entry in self._entries(key):
            if self._bring(stage, entry):
                self._remember(key, value, entry)
                return True
        return False

    @cached_property
    def _odb(self) -> Any:
        """The store of files; made once, since making one connects."""
        return self._repo.cloud.get_remote_odb(self.name, "fetch")

    @cached_property
    def _runs(self) -> str:
        """The folder of the run cache, which lies beside the files."""
        beside = self._repo.cloud.get_remote_odb(
            self.name, "fetch --run-cache", hash_name="md5-dos2unix"
        )
        return str(self._odb.fs.join(beside.path, "runs"))

    @property
    def _listed(self) -> bool:
        """Whether it can say what is in a folder; by HTTP there are files alone, as DVC has it."""
        return self._odb.fs.protocol not in ("http", "https")

    def _answering(self) -> None:
        """Raise TimeoutError where the remote does not say in time whether a folder is there."""
        within(PATIENCE_SECONDS, lambda: self._odb.fs.exists(self._odb.path))

    def _entries(self, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Entries for the inputs whose hash is `key`, with their names; raises Refused."""
        fs = self._odb.fs
        folder = fs.join(self._runs, key[:2], key)
        for path in within(PATIENCE_SECONDS, lambda: _files(fs, folder)):
            value = fs.name(path)
            if fs.size(path) > LARGEST_ENTRY:
                raise Refused(f"its entry {value[:64]!r} is too large")
            with tempfile.TemporaryDirectory() as place:
                copy = Path(place, "entry")
                fs.get_file(path, str(copy))
                yield value, _checked(copy, key, value)

    def _bring(self, stage: Any, entry: dict[str, Any]) -> bool:
        """Fetch the files of an entry into the cache; says whether all are there."""
        cached = self._repo.stage_cache._create_stage(entry, wdir=stage.wdir)
        for out in cached.outs:
            _require_hash(out.hash_info)
            if out.is_dir_checksum and not self._bring_list(out):
                return False
        for wanted in cached.get_used_objs(remote=self.name).values():
            self._repo.cloud.pull(wanted, odb=self._odb)
        return bool(cached.outs_cached())

    def _bring_list(self, out: Any) -> bool:
        """Fetch the list of a folder's files and look where they would come to lie."""
        from dvc_data.hashfile.tree import Tree

        if out.changed_cache():
            self._repo.cloud.pull([out.hash_info], odb=self._odb)
        try:
            tree = Tree.load(self._repo.cache.local, out.hash_info)
        except FileNotFoundError:
            return False
        for parts, _, hash_info in tree:
            _require_hash(hash_info)
            if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
                raise Refused(f"a file of {out.def_path} would lie outside of it")
        return True

    def _remember(self, key: str, value: str, entry: dict[str, Any]) -> None:
        """Put the entry into the run cache here, once its files are."""
        from dvc.utils.serialize import dump_yaml

        from pipeline.artifacts import replacing

        with replacing(Path(self._repo.stage_cache._get_cache_path(key, value))) as temporary:
            dump_yaml(temporary, entry)

    def _push(self, stages: Iterable[Any]) -> bool:
        from dvc.fs import generic

        self._answering()
        self._repo.push(remote=self.name)
        if not self._listed:
            return True
        fs = self._odb.fs
        here = Path(self._repo.stage_cache.cache_dir)
        for path in [one for stage in stages for one in self._remembered(stage)]:
            there = fs.join(self._runs, *path.relative_to(here).parts)
            if not fs.exists(there):
                generic.copy(self._repo.cache.legacy.fs, str(path), fs, there)
        return True

    def _remembered(self, stage: Any) -> list[Path]:
        """The stage's entries in the run cache here."""
        from dvc.stage.cache import _can_hash, _get_stage_hash

        if not _can_hash(stage):
            return []
        folder = Path(self._repo.stage_cache._get_cache_dir(_get_stage_hash(stage)))
        return sorted(folder.iterdir()) if folder.is_dir() else []


def _files(fs: Any, folder: str) -> list[str]:
    try:
        return sorted(fs.find(folder))
    except FileNotFoundError:
        return []


def _checked(path: Path, key: str, value: str) -> dict[str, Any]:
    """An entry of the run cache that is what its name says; raises Refused.

    Key and value are DVC's (dvc/stage/cache.py): hashes of command, inputs and the paths of
    outputs, and of all that with the outputs' hashes. So an entry that fits cannot name a path
    that the stage does not write.
    """
    from dvc.schema import COMPILED_LOCK_FILE_STAGE_SCHEMA
    from dvc.stage.cache import _get_cache_hash

    try:
        entry: dict[str, Any] = COMPILED_LOCK_FILE_STAGE_SCHEMA(read_yaml(path))
        told = [set(out) for out in entry["outs"]]
        fits = _get_cache_hash(entry) == value and _get_cache_hash(dict(entry), key=True) == key
    except Exception:
        raise Refused(f"its entry {value[:64]!r} cannot be read") from None
    if not fits or not all(keys <= ABOUT_OUTPUT for keys in told):
        raise Refused(f"its entry {value[:64]!r} is not what its name says")
    return entry


def _require_hash(hash_info: Any) -> None:
    if hash_info.name != "md5" or not HASH.fullmatch(str(hash_info.value)):
        raise Refused("a file in it has a name that is no MD5 hash")


def within(seconds: float, question: Callable[[], Answer]) -> Answer:
    """The answer, or TimeoutError; who asked in vain is left behind, and ends with the process."""
    found: list[Answer] = []
    failure: list[BaseException] = []

    def ask() -> None:
        try:
            found.append(question())
        except BaseException as error:
            failure.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    if failure:
        raise failure[0]
    if not found:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return found[0]


@contextmanager
def silent(names: Iterable[str]) -> Iterator[None]:
    """Nothing is logged by these loggers and those below them."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
