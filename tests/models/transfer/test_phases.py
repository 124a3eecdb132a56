from pathlib import Path

import numpy as np
import pytest

from models import archive, training
from models.fitting import determinism, fit
from models.networks import network
from models.transfer import bases, phases, source_base
from models.transfer.phases import ScratchRun, TransferRun
from models.transfer.transfer_settings import Head
from tests.models import small

SPEC = small.spec(depth=3, batch_norm=True, dropout=0.3)
STILL = {"learning_rate": 1e-30, "epochs": 1}
"""So slow that nothing changes."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A development set and a base whose normalisations have seen something."""
    folder = tmp_path_factory.mktemp("transfer")
    development = small.pictures(folder / "development")
    determinism.start(1)
    built = network.build((8, 8, 1), 3, SPEC, 1)
    base = source_base.cut(built, bases.BASE)
    generator = np.random.default_rng(1)
    for layer in base.layers:
        if layer.name.startswith("norm"):
            layer.set_weights([generator.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    archive.save(base, folder / "base.keras")
    return development, folder / "base.keras"


def run(source, kind=TransferRun, folder=None, **changes):
    development, base = source
    values = {
        "development": str(development.path),
        "folder": None if folder is None else str(folder),
        "spec": SPEC,
        "settings": small.settings(epochs=2),
        "seed": 1,
        "name": "run",
        "base": str(base),
        "head": Head(pooling="average", hidden=5, dropout=0.2),
        "share": 1.0,
    }
    if kind is TransferRun:
        values |= {"frozen": small.settings(epochs=2), "unfreeze": "all", "layer_decay": 1.0}
    return kind(**values | changes)


def weights(path, *, saved):
    model = archive.load(Path(path))
    base = model.get_layer("network").get_layer("base") if saved else model
    return {layer.name: layer.get_weights() for layer in base.layers if layer.weights}


def moved(source, folder):
    """Names of the base's layers of which any number is another than in its file."""
    before, after = weights(source[1], saved=False), weights(folder / "seed-1.keras", saved=True)
    assert before.keys() == after.keys()
    return {
        name
        for name, held in before.items()
        if any(not np.array_equal(*pair) for pair in zip(held, after[name], strict=True))
    }


@pytest.mark.parametrize("spec", [{}, {"flip": "horizontal", "contrast": 0.2}])
def test_in_the_first_phase_nothing_of_the_base_moves(source, tmp_path, spec):
    item = run(
        source, folder=tmp_path, settings=small.settings(**STILL), spec=SPEC.model_copy(update=spec)
    )

    phases.transfer(item)

    assert moved(source, tmp_path) == set()


@pytest.mark.parametrize(
    ("unfreeze", "expected"),
    [(2, {"conv_1", "conv_2"}), ("all", {"conv_0", "conv_1", "conv_2"})],
)
def test_in_the_second_phase_only_the_last_blocks_move(source, tmp_path, unfreeze, expected):
    phases.transfer(run(source, folder=tmp_path, unfreeze=unfreeze, layer_decay=0.5))

    # Neither the scales nor the statistics of normalisations do.
    assert moved(source, tmp_path) == expected


def test_frozen_features_are_computed_once_and_the_head_learns_the_same_from_them(
    source, monkeypatch
):
    item = run(source, head=Head(pooling="average", hidden=5, dropout=0.0))
    phases._features.cache_clear()
    cached = phases.transfer(item).frozen
    other = run(source, seed=2, share=0.5)
    assert phases._features_for(other, training.encoded(other.development)) is not None
    assert phases._features.cache_info()[:2] == (1, 1)

    monkeypatch.setattr(phases, "_features_for", lambda *_: None)
    through = phases.transfer(item).frozen

    assert not np.array_equal(cached.predictions[:1], cached.predictions[1:2])
    np.testing.assert_allclose(cached.predictions, through.predictions, atol=1e-5)
    figures = [[(line.loss, line.val_loss) for line in one.lines[0]] for one in (cached, through)]
    np.testing.assert_allclose(*figures, rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": SPEC.model_copy(update={"cutout": 0.2})},
        {"frozen": small.settings(mixup=0.2)},
    ],
)
def test_features_that_change_are_not_kept(source, changes):
    item = run(source, **changes)
    assert phases._features_for(item, training.encoded(item.development)) is None


def test_features_that_are_too_many_are_not_kept(source, monkeypatch):
    item = run(source)
    monkeypatch.setattr(phases, "IN_MEMORY_BYTES", 1000)
    assert phases._features_for(item, training.encoded(item.development)) is None


def test_both_phases_are_told_and_the_saved_model_takes_raw_pictures(source, tmp_path):
    development, _ = source
    told = phases.transfer(run(source, folder=tmp_path))

    assert [lines[0].phase for lines in told.tuned.lines] == ["frozen", "unfrozen"]
    assert told.frozen.lines == told.tuned.lines[:1]
    assert [line.epoch for lines in told.tuned.lines for line in lines] == [1, 2, 3, 4]
    assert (told.frozen.examples, told.tuned.examples) == (2 * 120, 4 * 120)
    assert not np.array_equal(told.frozen.predictions, told.tuned.predictions)
    model = archive.load(tmp_path / "seed-1.keras")
    found = training.predict(model, development.validation())
    np.testing.assert_allclose(found, told.tuned.predictions, rtol=1e-4, atol=1e-6)


def test_the_same_run_has_the_same_bytes_and_another_seed_others(source, tmp_path):
    item = {"spec": SPEC.model_copy(update={"cutout": 0.2}), "layer_decay": 0.7}
    told = [phases.transfer(run(source, folder=tmp_path / name, **item)) for name in "ab"]
    phases.transfer(run(source, folder=tmp_path, seed=2, **item))

    first, again = (tmp_path / name / "seed-1.keras" for name in "ab")
    assert first.read_bytes() == again.read_bytes()
    np.testing.assert_array_equal(told[0].tuned.predictions, told[1].tuned.predictions)
    assert (tmp_path / "seed-2.keras").read_bytes() != first.read_bytes()


def test_from_scratch_everything_is_fresh_and_trained(source, monkeypatch):
    seen = []
    whole = fit.fit

    def watched(model, *rest, **named):
        seen.append(sum(len(layer.trainable_weights) for layer in model.get_layer("base").layers))
        return whole(model, *rest, **named)

    monkeypatch.setattr(fit, "fit", watched)
    told = [phases.scratch(run(source, ScratchRun, seed=seed)) for seed in (1, 1, 2)]

    # Kernels, scales and shifts of three blocks; a normalised block has no bias.
    assert seen == [9] * 3
    assert [line.phase for line in told[0].lines[0]] == ["scratch"] * 2
    np.testing.assert_array_equal(told[0].predictions, told[1].predictions)
    assert not np.array_equal(told[0].predictions, told[2].predictions)


def test_a_share_is_of_the_labels_and_not_of_what_is_known_of_examples(source):
    development = source[0]
    data = training.encoded(str(development.path))

    part = phases.labelled(data, str(development.path), 0.25)

    assert len(part.train) == len(part.train_codes) == len(part.train_truth) == 30
    assert part.statistics is data.statistics
    assert part.validation is data.validation
    assert phases.labelled(data, str(development.path), 1.0) is data
    rows = {row.tobytes() for row in data.train}
    assert all(row.tobytes() in rows for row in part.train)


def test_texts_members_and_labels_are_transferred_too(tmp_path):
    made = [
        (small.texts(tmp_path / "texts"), small.spec(text="pool", word_dropout=0.1)),
        (
            small.several(tmp_path / "labels", "multilabel"),
            small.spec(architecture="tabm", members=3),
        ),
    ]
    for number, (development, spec) in enumerate(made):
        data = training.encoded(str(development.path))
        determinism.start(1)
        built = network.build(data.shape, 2, spec, 1, data.layout, "regression")
        base = tmp_path / f"{number}.keras"
        archive.save(source_base.cut(built, bases.BASE), base)

        told = phases.transfer(run((development, base), folder=tmp_path, spec=spec))

        model = archive.load(tmp_path / "seed-1.keras")
        found = training.predict(model, development.validation())
        np.testing.assert_allclose(found, told.tuned.predictions, rtol=1e-4, atol=1e-6)
