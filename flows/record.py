"""A night's result as a commit on a branch of its own; the user's branch, index and files stay.

Git's plumbing makes it: a temporary index, a tree, a commit, a branch. What is committed is what
the result follows from and what leads back to it: dvc.lock, dvc.yaml, params.yaml, the code and
files that stages depend on as they are now, and every .dvc file. So
`git checkout BRANCH && dvc checkout` has the night again.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flows.commands import dvc, git, try_dvc, try_git
from pipeline.errors import InputError
from pipeline.nightly_params import branch_name
from pipeline.render import DVC_YAML
from pipeline.yaml_file import read_yaml

ALWAYS = (
    "dvc.lock",
    "dvc.yaml",
    "params.yaml",
    "data/schema.yaml",
    "*.dvc",
    "data/*.gitignore",
    "artifacts/champion.jsonl",
)
"""Committed where they are there, besides what stages depend on."""
SHORT = 9
"""Characters by which a commit is named."""
NOWHERE = "0" * 40
"""What git calls a branch that is not there yet."""


@dataclass(frozen=True)
class Recorded:
    """A night in git."""

    branch: str
    commit: str
    before: str | None
    """The commit of the night before; None where there is none."""
    edited: tuple[str, ...]
    """Values and code that are not as in the commit that is checked out."""


def require_branch(root: Path, branch: str) -> None:
    """Raise InputError where the night's result could not be committed on `branch`: said before
    anything is trained for it."""
    if try_git(root, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        raise InputError(
            "params.yaml: run.nightly.commit: true was given, and the project is in no git "
            "repository that has a commit. Make one: git init && git add --all && git commit"
        )
    for parent in PurePosixPath(branch).parents:
        if _commit(root, f"refs/heads/{parent}"):
            raise InputError(
                f"params.yaml: run.nightly.branch: {branch} cannot be made beside the branch "
                f"{parent}: git keeps the one as a folder. Give it another name, or rename that "
                f"branch: git branch -m {parent} OTHER"
            )


def record(root: Path, template: str, date: str, time: str, message: str) -> Recorded:
    """Commit the result that is in place; a night whose files are as before makes no commit.

    Raises InputError as `require_branch`, EnvironmentFault where git fails.
    """
    branch = branch_name(template, date, time)
    require_branch(root, branch)
    head = _commit(root, "HEAD")
    assert head is not None
    if git(root, "for-each-ref", "--format=%(worktreepath)", f"refs/heads/{branch}").strip():
        # A branch that is checked out must not move below whoever works on it.
        branch = f"{branch}-{time}"
    tip, before = _commit(root, f"refs/heads/{branch}"), last(root, template, branch)
    with tempfile.TemporaryDirectory(prefix="fettle-") as folder:
        tree, edited = _tree(root, head, Path(folder) / "index")
    if tip and _tree_of(root, tip) == tree:
        return Recorded(branch, tip, before and before[1], edited)
    if before and not tip and _tree_of(root, before[1]) == tree:
        older = last(root, template, before[0])
        return Recorded(before[0], before[1], older and older[1], edited)
    if edited:
        message += "\n\nAs they were in the working tree: " + ", ".join(edited)
    parents = [head] if tip is None else [tip] if _holds(root, tip, head) else [tip, head]
    commit = git(
        root,
        "commit-tree",
        tree,
        *(part for parent in parents for part in ("-p", parent)),
        "-m",
        message,
        variables=_author(root),
    ).strip()
    git(root, "update-ref", "-m", "nightly", f"refs/heads/{branch}", commit, tip or NOWHERE)
    # On a branch that goes on from night to night, the night before is its last commit.
    return Recorded(branch, commit, tip or (before and before[1]), edited)


def last(root: Path, template: str, but: str) -> tuple[str, str] | None:
    """Branch and commit of the last night on another branch than `but`, here or as fetched."""
    pattern = branch_name(template, "*", "*")
    found = git(
        root,
        "for-each-ref",
        "--sort=-committerdate",
        "--format=%(refname:lstrip=2) %(objectname)",
        f"refs/heads/{pattern}",
        f"refs/remotes/*/{pattern}",
    )
    for line in found.splitlines():
        name, commit = line.split()
        if name != but and not name.endswith(f"/{but}"):
            return name, commit
    return None


def difference(root: Path, recorded: Recorded) -> str | None:
    """What DVC says changed in the metrics since the night before, as a table in Markdown; None
    where there was no night before."""
    if recorded.before is None:
        return None
    names = (recorded.before[:SHORT], recorded.commit[:SHORT])
    table = dvc(root, "metrics", "diff", *names, "--md").strip()
    # A table's head and rule stand even where there is nothing below them.
    for name in (recorded.before, recorded.commit):
        table = table.replace(name, name[:SHORT])
    return table if len(table.splitlines()) > 2 else "No metric changed."


def push_cache(root: Path, remote: str | None) -> str | None:
    """Push results and run cache to a DVC remote (default: the repository's own); its name, or None
    where there is none."""
    name = remote or (try_dvc(root, "config", "core.remote") or "").strip()
    if not name:
        return None
    dvc(root, "push", "--run-cache", "--remote", name)
    return name


def push_branch(root: Path, remote: str, branch: str) -> None:
    """Push the branch to a git remote, never by force."""
    ref = f"refs/heads/{branch}"
    git(root, "push", "--quiet", remote, f"{ref}:{ref}")


def _tree(root: Path, head: str, index: Path) -> tuple[str, tuple[str, ...]]:
    """The tree of `head` with what a night commits as it is on disk, and which of it differs."""
    variables = {"GIT_INDEX_FILE": str(index)}
    git(root, "read-tree", head, variables=variables)
    listed = git(
        root,
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
        "--",
        *_specs(root),
    )
    paths = sorted(set(listed.split("\0")) - {""})
    git(
        root,
        "update-index",
        "--add",
        "--remove",
        "-z",
        "--stdin",
        variables=variables,
        given="\0".join([*paths, ""]),
    )
    tree = git(root, "write-tree", variables=variables).strip()
    edited = git(root, "diff-tree", "-r", "--relative", "--name-only", "-z", head, tree).split("\0")
    results = ("dvc.lock", ".dvc", ".gitignore")
    return tree, tuple(path for path in edited if path and not path.endswith(results))


def _specs(root: Path) -> Iterator[str]:
    """Patterns of what is committed; git leaves out what it ignores, such as data and results."""
    yield from ALWAYS
    stages = read_yaml(root / DVC_YAML)["stages"].values()
    names = {name for stage in stages for name in stage.get("deps", ())}
    yield from (f":(literal){name}" for name in sorted(names))


def _commit(root: Path, name: str) -> str | None:
    found = try_git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return found.strip() if found else None


def _tree_of(root: Path, commit: str) -> str:
    return git(root, "rev-parse", f"{commit}^{{tree}}").strip()


def _holds(root: Path, later: str, earlier: str) -> bool:
    """Whether `earlier` is in the history of `later`."""
    found = try_git(root, "merge-base", "--is-ancestor", earlier, later)
    return found is not None


def _author(root: Path) -> dict[str, str]:
    """Who commits, where git has not been told: a machine that runs by night may have no user."""
    names: dict[str, str] = {}
    for key, value in (("name", "fettle"), ("email", "fettle@localhost")):
        if try_git(root, "config", f"user.{key}") is None:
            for role in ("AUTHOR", "COMMITTER"):
                variable = f"GIT_{role}_{key.upper()}"
                names[variable] = os.environ.get(variable, value)
    return names
