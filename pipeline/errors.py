"""Errors meant for people, and the exit codes they end with."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process exit status says, for scripts and schedulers."""

    OK = 0
    FAILED = 1
    """A stage failed, or a check found a difference."""
    USAGE = 2
    """The command line was not understood."""
    INPUT = 3
    """The data, params.yaml or dvc.yaml must be changed before another try."""
    ENVIRONMENT = 4
    """Nothing is wrong with the input: a lock is held, a disk is full, a server is away."""
    INTERRUPTED = 130


class FettleError(Exception):
    """A problem the user can act on; shown as its message alone, never with a traceback.

    The message says what was wrong, where, what was given, and what to do.
    """

    exit_code = ExitCode.FAILED


class InputError(FettleError):
    """The data or the parameters cannot be used as they are."""

    exit_code = ExitCode.INPUT


class EnvironmentFault(FettleError):
    """The machine, a lock, a disk or a server stands in the way; the input is fine."""

    exit_code = ExitCode.ENVIRONMENT
