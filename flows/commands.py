"""DVC and git as commands, for what neither gives a stable interface in Python for."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import EnvironmentFault
from pipeline.server_access import masked

FOREIGN = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
"""Variables by which a git that called us would turn ours to another repository or index."""


def dvc(root: Path, *arguments: str) -> str:
    """Run DVC; returns what it printed. Raises EnvironmentFault, with its words, where it fails."""
    return _output(_dvc(root, arguments), "dvc", arguments)


def try_dvc(root: Path, *arguments: str) -> str | None:
    """The same, but None where it fails, for which there may be a good reason."""
    done = _dvc(root, arguments)
    return None if done.returncode else done.stdout


def git(
    root: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    given: str | None = None,
) -> str:
    """Run git, with `given` as its input; returns what it printed. Raises EnvironmentFault, with
    its words, where it fails. It never asks for a password."""
    return _output(_git(root, arguments, variables or {}, given), "git", arguments)


def try_git(root: Path, *arguments: str) -> str | None:
    """The same, but None where it fails, for which there may be a good reason."""
    done = _git(root, arguments, {}, None)
    return None if done.returncode else done.stdout


def _dvc(root: Path, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    own = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    return _run([sys.executable, "-m", "dvc", *arguments], root, own, None)


def _git(
    root: Path, arguments: Sequence[str], variables: Mapping[str, str], given: str | None
) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    kept.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    own = {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **variables}
    # Reading must not write: the user's index is another process's to lock.
    return _run(["git", "--no-optional-locks", *arguments], root, own, given)


def _run(
    command: Sequence[str], root: Path, environment: Mapping[str, str], given: str | None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=root,
        env=environment,
        input=given or "",
        capture_output=True,
        text=True,
        check=False,
    )


def _output(
    done: "subprocess.CompletedProcess[str]", program: str, arguments: Sequence[str]
) -> str:
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        shown = " ".join([program, *arguments])
        raise EnvironmentFault(masked(f"{shown} failed:\n{said}"))
    return done.stdout
