"""A DVC repository of one stage, used in this process: no commands, no Prefect."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.memory import Found, Memory

DVC_YAML = """\
stages:
  make:
    cmd: ./fettle stage make
    deps: [given.txt]
    outs: [artifacts/made]
"""


@dataclass
class SmallRepository:
    """`make` writes a folder of two files that say what it was given."""

    root: Path
    ran: int = 0
    """How often it ran."""

    def body(self) -> None:
        self.ran += 1
        made = self.root / "artifacts/made"
        (made / "deep").mkdir(parents=True)
        for place in ("one.txt", "deep/two.txt"):
            (made / place).write_text(f"{place} of {(self.root / 'given.txt').read_text()}")

    def memory(self, remote: str | None = "team") -> Memory:
        return Memory(self.root, remote)

    def run(self, memory: Memory | None = None) -> Found:
        # DVC takes paths of dvc.yaml from where it is called.
        with contextlib.chdir(self.root):
            return (memory or self.memory()).recall_or_run("make", self.body)

    def push(self, memory: Memory | None = None) -> None:
        with contextlib.chdir(self.root):
            (memory or self.memory()).push(["make"])

    def add_remote(self, url: str, name: str = "team", **settings: str) -> None:
        lines = [f"['remote \"{name}\"']", f"    url = {url}"]
        lines += [f"    {key} = {value}" for key, value in settings.items()]
        with (self.root / ".dvc/config").open("a") as config:
            config.write("\n".join(lines) + "\n")

    def made(self) -> dict[str, str]:
        """What the stage's files say, by their paths."""
        folder = self.root / "artifacts/made"
        return {
            path.relative_to(folder).as_posix(): path.read_text()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def make(
    root: Path, url: str | None = None, given: str = "this", **settings: str
) -> SmallRepository:
    """A repository with a remote called team, if `url` is given."""
    from dvc.repo import Repo

    root.mkdir()
    Repo.init(str(root), no_scm=True).close()
    (root / ".dvc/config").write_text("[core]\n    no_scm = True\n    analytics = false\n")
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "given.txt").write_text(given)
    made = SmallRepository(root)
    if url is not None:
        made.add_remote(url, **settings)
    return made
