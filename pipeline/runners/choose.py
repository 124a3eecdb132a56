"""The runner that params.yaml names, opened."""

from pathlib import Path

from pipeline.errors import EnvironmentFault
from pipeline.run_params import Runner, RunParams
from pipeline.runners.local import Local
from pipeline.runners.pool import Pool
from pipeline.runners.processes import ProcessPool


def pool(run: RunParams, root: Path, runner: Runner | None = None) -> Pool:
    """The runner that `run` names, or `runner` instead; nothing is started yet.

    `run.cluster` is for Dask and Ray; the others stay on this machine. Raises EnvironmentFault
    where what the runner needs is not installed.
    """
    name = runner or run.runner
    try:
        return _made(name, run, root)
    except ModuleNotFoundError as error:
        raise EnvironmentFault(
            f"run.runner {name} needs the package {error.name}, which is not installed.\n"
            "Install the environment with: make setup"
        ) from None


def _made(name: Runner, run: RunParams, root: Path) -> Pool:
    if name == "local":
        return Local()
    if name == "processes":
        return ProcessPool(run.workers, run.gpus)
    if name == "dask":
        from pipeline.runners.dask_pool import DaskPool

        return DaskPool(run.cluster, run.workers, root, run.gpus)
    from pipeline.runners.ray_pool import RayPool

    return RayPool(run.cluster, run.workers, root, run.gpus)
