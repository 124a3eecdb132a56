"""Small pictures drawn for the tests of what reads pictures."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataset.pictures.labelled import PictureSettings


def settings(**changes: Any) -> PictureSettings:
    """Everything decided by the pictures, but for `changes`."""
    plain: dict[str, Any] = {
        "size": None,
        "channels": None,
        "label": None,
        "path": None,
        "part": None,
        "missing": ("",),
    }
    return PictureSettings(**(plain | changes))


def scene(seed: int, height: int = 32, width: int = 32, channels: int = 3) -> np.ndarray:
    """`(height, width, channels)` uint8: smooth shapes, another for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 5, channels)).astype(np.uint8)
    planes = [
        Image.fromarray(noise[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
        for channel in range(channels)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def save(path: Path, seed: int = 0, mode: str = "RGB", size: tuple[int, int] = (32, 32)) -> Path:
    """A scene as a file; `size` is height and width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene(seed, *size)).convert(mode).save(path)
    return path


def classes(folder: Path, each: int = 3, names: tuple[str, ...] = ("ants", "bees")) -> Path:
    """A folder with one folder of PNG files for each class."""
    for number, name in enumerate(names):
        for place in range(each):
            save(folder / name / f"{place}.png", 100 * number + place)
    return folder
