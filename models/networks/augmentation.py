"""Which changes a network makes to what it is shown in training, in which order, by which seeds."""

from typing import Any

import numpy as np

from models.networks.layout import Layout
from models.networks.picture_changes import Contrast, Cutout, Move, RandAugment
from models.networks.table_changes import HideWords, Noise, Swap
from models.settings import NetworkSpec

STREAM = 1
"""Keeps these seeds apart from those of the weights, which are drawn from the seed alone."""
CHANGES = ("move", "contrast", "randaugment", "cutout", "swap", "noise", "hide_words")
"""In the order in which they are made; also the names of the layers."""


def augment(encoded: Any, layout: Layout | None, spec: NetworkSpec, seed: int) -> Any:
    """`(n, d)` or `(n, h, w, c)` float32, changed while training as `spec` says, else as it is.

    Nothing is added where nothing is to be changed. The seed of each change follows from the
    network's and the change alone: what else is switched on, and the weights, do not depend on it.
    Without a `layout` a table's columns are numbers.
    """
    generator = np.random.default_rng([seed, STREAM])
    drawn = generator.integers(2**31, size=len(CHANGES)).tolist()
    seeds = dict(zip(CHANGES, drawn, strict=True))
    if len(encoded.shape) > 2:
        return _pictures(encoded, spec, seeds)
    columns = encoded.shape[1]
    return _table(encoded, layout or Layout(columns, (), columns), spec, seeds)


def _pictures(hidden: Any, spec: NetworkSpec, seeds: dict[str, int]) -> Any:
    if spec.crop or spec.shift or spec.zoom or spec.rotation or spec.flip != "none":
        hidden = Move(
            spec.crop,
            spec.shift,
            spec.zoom,
            spec.rotation,
            spec.flip,
            seeds["move"],
            name="move",
        )(hidden)
    if spec.contrast:
        hidden = Contrast(spec.contrast, seeds["contrast"], name="contrast")(hidden)
    if spec.randaugment:
        strong = RandAugment(spec.randaugment, seeds["randaugment"], name="randaugment")
        hidden = strong(hidden)
    if spec.cutout:
        hidden = Cutout(spec.cutout, seeds["cutout"], name="cutout")(hidden)
    return hidden


def _table(hidden: Any, layout: Layout, spec: NetworkSpec, seeds: dict[str, int]) -> Any:
    # First swapped, then noisy: a value that is taken over is as noisy as any other.
    if spec.feature_swap and layout.dense:
        groups = layout.groups or tuple(range(layout.dense))
        hidden = Swap(spec.feature_swap, groups, seeds["swap"], name="swap")(hidden)
    if spec.noise and layout.numbers:
        hidden = Noise(spec.noise, layout.numbers, seeds["noise"], name="noise")(hidden)
    if spec.word_dropout and layout.texts:
        hide = HideWords(spec.word_dropout, layout.dense, seeds["hide_words"], name="hide_words")
        hidden = hide(hidden)
    return hidden
