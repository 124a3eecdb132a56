"""Errors meant for people, and the exit codes they end with."""

import errno
import os
import re
from collections.abc import Iterator
from enum import IntEnum

LETTERS = 1_000
"""Of a line of a message, at the most."""
NO_ROOM_BYTES, NO_ROOM_FILES = 2**20, 10
"""Less than this is left on a disk that counts as full."""


class ExitCode(IntEnum):
    """What the process exit status says, for scripts and schedulers."""

    OK = 0
    FAILED = 1
    """A stage failed."""
    USAGE = 2
    """The command line was not understood."""
    INPUT = 3
    """The data, params.yaml or dvc.yaml must be changed before another try."""
    ENVIRONMENT = 4
    """Nothing is wrong with the input: a lock is held, a disk is full, a server is away."""
    DRIFTED = 5
    """What was logged has drifted from the training data, beyond the declared bound."""
    INTERRUPTED = 130


class FettleError(Exception):
    """A problem the user can act on; shown as its message alone, never with a traceback.

    The message says what was wrong, where, what was given, and what to do.
    """

    exit_code = ExitCode.FAILED

    def __str__(self) -> str:
        """The message, in which what a terminal would obey or cannot show is written out.

        Names and cells come from the data: an escape sequence among them is shown, not run, and a
        text of a book's length is cut.
        """
        return "\n".join(_cut(shown(line)) for line in super().__str__().split("\n"))


class InputError(FettleError):
    """The data or the parameters cannot be used as they are."""

    exit_code = ExitCode.INPUT


class EnvironmentFault(FettleError):
    """The machine, a lock, a disk or a server stands in the way; the input is fine."""

    exit_code = ExitCode.ENVIRONMENT


def shown(line: str) -> str:
    """A line as a terminal shows it: what it would obey or cannot show is written as its code."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in line
    )


def _cut(line: str) -> str:
    """Without its middle, where it is too long to be read."""
    half = LETTERS // 2
    return line if len(line) <= LETTERS else f"{line[:half]} … {line[-half:]}"


def as_fault(error: BaseException) -> FettleError | None:
    """The message for people behind a library's exception, or None where it is a defect."""
    causes = list(_chain(error))
    # DVC's errors wrap the disk's, which say more.
    return next((fault for cause in causes if (fault := _of_machine(cause))), None) or next(
        (fault for cause in causes if (fault := _of_library(cause))), None
    )


def _of_machine(cause: BaseException) -> FettleError | None:
    if isinstance(cause, FettleError):
        return cause
    if isinstance(cause, OSError) and cause.errno in _DISK:
        return _disk(_DISK[cause.errno], cause.filename)
    return None


def _of_library(cause: BaseException) -> FettleError | None:
    # Prefect's own errors of its server are httpx's.
    modules = {base.__module__.split(".")[0] for base in type(cause).__mro__}
    answer = getattr(cause, "response", None) if "httpx" in modules else None
    if answer is not None:
        return EnvironmentFault(
            f"The Prefect server answers with an error ({answer.status_code}).\n"
            "Finished stages are kept. See ./fettle server status, then run again."
        )
    if modules & {"httpx", "httpcore"}:
        return EnvironmentFault(
            f"The Prefect server does not answer ({type(cause).__name__}).\n"
            "Finished stages are kept. See ./fettle server status, then run again."
        )
    if "dvc" in modules:
        if paths := getattr(cause, "fs_paths", None):
            # DVC tries every way to put a file there, and drops the reason why none did.
            return _disk(_why_not_written(paths[0]), paths[0])
        return EnvironmentFault(f"DVC: {_COLOURS.sub('', str(cause))}")
    return None


def _disk(what: str, path: object) -> EnvironmentFault:
    where = f" ({path})" if path else ""
    return EnvironmentFault(
        f"{what}{where}.\n"
        "Nothing half-written is taken for a result. Make room or give access, "
        "then run again: finished stages are kept."
    )


def _why_not_written(path: str) -> str:
    """What hinders writing there, as far as the file system says."""
    folder = os.path.dirname(path)
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    room = os.statvfs(folder or ".")
    if room.f_flag & os.ST_RDONLY:
        return _DISK[errno.EROFS]
    if room.f_bavail * room.f_frsize < NO_ROOM_BYTES or room.f_favail < NO_ROOM_FILES:
        return _DISK[errno.ENOSPC]
    return "DVC cannot write this file"


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_DISK = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "The disk quota is used up",
    errno.EROFS: "The file system is read-only",
    errno.EACCES: "Permission denied",
    errno.EPERM: "Permission denied",
}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
