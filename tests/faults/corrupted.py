"""Files truncated, emptied or with a bit flipped, wherever the project remembers a thing."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.injection import Fault, Lost, Skipped, Told, Toy, contents

Spoil = Callable[[bytes, random.Random], bytes]


def flipped(content: bytes, chance: random.Random) -> bytes:
    """One bit another."""
    place = chance.randrange(len(content))
    changed = content[place] ^ (1 << chance.randrange(8))
    return content[:place] + bytes([changed]) + content[place + 1 :]


def truncated(content: bytes, chance: random.Random) -> bytes:
    """Its first bytes."""
    return content[: chance.randrange(len(content))]


def emptied(content: bytes, chance: random.Random) -> bytes:
    """Nothing."""
    return b""


SPOILS: tuple[Spoil, ...] = (flipped, truncated, emptied)
PLACES = {
    "DVC's cache, an object": ".dvc/cache/files/md5/*/*",
    "DVC's cache, a record of a run": ".dvc/cache/runs/*/*/*",
    "dvc.lock": "dvc.lock",
    "artifacts/": "artifacts/**/*",
    "a piece of the search": ".fettle/pieces/*.npz",
}
OTHERS = (".dvc/tmp/rwlock", ".dvc/tmp/lock")
TIMES = 1
"""Of each kind of spoiling and place."""


def faults(chance: random.Random) -> Iterator[Fault]:
    """Random files at each place, spoiled in each way; results are there, and are wanted again."""
    for place, pattern in PLACES.items():
        for spoil in SPOILS:
            for _ in range(TIMES):
                seed = chance.randrange(2**32)
                yield Fault(
                    "a corrupt file",
                    f"{place}, {spoil.__name__}",
                    spoiling(pattern, spoil, seed, wanted=seed % 2 == 1),
                    frozenset({0, 3, 4}),
                    done=True,
                )
    for path in OTHERS:
        for spoil in SPOILS[:2]:
            seed = chance.randrange(2**32)
            yield Fault(
                "a corrupt file",
                f"{path}, {spoil.__name__}",
                spoiling(path, spoil, seed, wanted=False),
                frozenset({0}),
                done=True,
            )
    for path in ("server.json", "server.log", "prefect/prefect.db", "prefect/memo_store.toml"):
        for spoil in SPOILS:
            seed = chance.randrange(2**32)
            yield Fault(
                "a corrupt file",
                f".fettle/{path}, {spoil.__name__}",
                spoiling_servers(path, spoil, seed),
                own_server=True,
                done=True,
            )
    for spoil in SPOILS:
        seed = chance.randrange(2**32)
        yield Fault(
            "a corrupt file",
            f"DVC's hashes of files, {spoil.__name__}",
            spoiling_state(spoil, seed),
            done=True,
        )
        yield Fault("changed raw data", spoil.__name__, changing_data(spoil, seed), done=True)


def spoil_one(root: Path, pattern: str, spoil: Spoil, chance: random.Random) -> Path:
    """Spoil one of the files there that hold something; as a failing disk does, by no rules."""
    found = [
        path
        for path in sorted(root.glob(pattern))
        if path.is_file() and path.stat().st_size and path.name not in ("timing.json",)
    ]
    if not found:
        raise Skipped(f"there is no {pattern}")
    path = chance.choice(found)
    mode, state = path.stat().st_mode, path.stat()
    path.chmod(0o644)
    path.write_bytes(spoil(path.read_bytes(), chance))
    path.chmod(mode)
    if chance.random() < 0.5:
        # A disk that rots tells nobody.
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return path


def spoiling(pattern: str, spoil: Spoil, seed: int, wanted: bool) -> Any:
    """A run that finds a spoiled file; where `wanted`, it has to fetch all results again."""

    def inject(toy: Toy) -> Told:
        chance = random.Random(seed)
        spoil_one(toy.root, pattern, spoil, chance)
        if wanted:
            shutil.rmtree(toy.root / "artifacts")
        if "pieces" in pattern:
            # Else nobody would ask for the pieces.
            (toy.root / "dvc.lock").unlink()
            shutil.rmtree(toy.root / ".dvc" / "cache")
        return toy.told()

    return inject


def spoiling_servers(path: str, spoil: Spoil, seed: int) -> Any:
    """A run that finds a spoiled file of its own Prefect server, which is not running."""

    def inject(toy: Toy) -> Told:
        toy.fettle("server", "start")
        before = (toy.root / ".fettle" / "server.json").read_bytes()
        toy.fettle("server", "stop")
        if path == "server.json":
            (toy.root / ".fettle" / path).write_bytes(before)
        spoil_one(toy.root, f".fettle/{path}", spoil, random.Random(seed))
        return toy.told()

    return inject


def spoiling_state(spoil: Spoil, seed: int) -> Any:
    """A run that finds DVC's table of hashes spoiled, which lies outside the project."""

    def inject(toy: Toy) -> Told:
        from dvc.repo import Repo

        toy.dvc("status")
        with Repo(str(toy.root)) as repo:
            folder = Path(repo.site_cache_dir)
        spoil_one(folder, "**/*.db", spoil, random.Random(seed))
        return toy.told()

    return inject


def changing_data(spoil: Spoil, seed: int) -> Any:
    """A change of the raw data is no fault to be survived: it must be said, and lead to other
    results; set back, all is as before."""

    def inject(toy: Toy) -> Told:
        path = toy.root / "data" / "raw.txt"
        toy.replace("params.yaml", "path: null", "path: data/raw.txt")
        (toy.root / "data" / "schema.yaml").write_text("version: 1\n")
        path.write_text("what the user brought\n")
        toy.dvc("add", "--quiet", "data/raw.txt")
        toy.fettle("render")
        toy.fettle("run")
        before = toy.lock, contents(toy.root)
        written = path.read_bytes()
        path.write_bytes(spoil(written, random.Random(seed)))
        require_said(toy.fettle("plan"), "file data/raw.txt changed")
        told = toy.told()
        require_said(told.output, "data/raw.txt")
        path.write_bytes(written)
        toy.fettle("run")
        if (toy.lock, contents(toy.root)) != before:
            raise Lost("set back, the data give other results")
        toy.git("checkout", "--", ".")
        return told

    return inject


def require_said(output: str, path: str) -> None:
    """Raise Lost unless the output names the file."""
    if path not in output:
        raise Lost(f"{path} was changed and nothing said so")
