"""Where the files of a source lie: inside what `finetune.pretrained` names, and nowhere else."""

import difflib
from pathlib import Path

from dataset.pictures.folders import leads_outside
from pipeline.errors import InputError

LISTED = 12
"""Names of a folder that a message lists, at the most."""


def found(given: str | None, name: str) -> Path:
    """The file or folder `name` inside the folder `given`, or the file `given` if so called.

    Raises InputError where it is not there, saying what is, and where the path leads elsewhere.
    """
    told = f"params.yaml: finetune is to transfer from {name!r}, but finetune.pretrained is"
    if given is None:
        raise InputError(
            f"{told} null.\nPut the file, or a folder with it, below data/, and its path there."
        )
    root = Path(given)
    if not root.exists():
        raise InputError(
            f"{root}: there is no such file or folder, and finetune.pretrained in params.yaml "
            "names it.\nIf DVC tracks it, fetch it with: dvc pull (or dvc checkout)"
        )
    if not root.is_dir():
        if name != root.name:
            raise InputError(f"{told} the file {root}: name {root.name!r}, or put both in a folder")
        return root
    path = root / name
    if Path(name).is_absolute() or leads_outside(path, root):
        raise InputError(
            f"{told} {root}, and the path leads outside of it.\n"
            "Give paths relative to that folder, and put what they name into it."
        )
    if not path.exists():
        raise InputError(f"{root}: there is no {name!r} in it.{_near(root, name)}\n{_listed(root)}")
    return path


def _near(folder: Path, name: str) -> str:
    near = difflib.get_close_matches(name, _names(folder), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def _listed(folder: Path) -> str:
    names = _names(folder)
    more = f", and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return f"There are: {', '.join(names[:LISTED]) or 'none'}{more}."


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
