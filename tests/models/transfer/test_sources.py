from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models import archive, training
from models.networks import network
from models.transfer import phases, source_tables, sources
from models.transfer.source_settings import Application, Earlier, OtherData
from models.transfer.transfer_settings import Head
from pipeline.errors import InputError
from tests.models import small


def test_sources_suit_the_data():
    assert sources.offered(small.schema("x")) == ("masked",)
    grey = small.schema(kind="pictures")
    assert sources.offered(grey) == ("fonts", "rotated", "denoised")
    colours = grey.model_copy(update={"shape": (8, 8, 3)})
    assert sources.offered(colours) == ("rotated", "denoised")


TABLE, GREY = small.schema("x"), small.schema(kind="pictures")
COLOUR = GREY.model_copy(update={"shape": (8, 8, 3)})


@pytest.mark.parametrize(
    ("source", "schema", "advice"),
    [
        ("fonts", TABLE, "transfer from fonts, but the data are a table: put masked there"),
        ("rotated", TABLE, "from rotated, but the data are a table: put masked there"),
        ("masked", GREY, "but the data are pictures: put fonts or rotated or denoised there"),
        ("fonts", COLOUR, "but the data are pictures in colour: put rotated or denoised there"),
        (
            Application(network="MobileNetV2", options={"alpha": 0.35}, weights="imagenet"),
            TABLE,
            r"from MobileNetV2 alpha 0.35 \(imagenet\), but the data are a table: put masked",
        ),
        (Earlier(model="a.keras"), GREY, "from 'a.keras', but finetune.pretrained is null"),
        (OtherData(data="a", target=None), TABLE, "from 'a', but finetune.pretrained is null"),
    ],
)
def test_a_source_that_cannot_be_is_refused_with_what_can(source, schema, advice):
    with pytest.raises(InputError, match=advice):
        sources.check(source, schema, None)


def test_a_source_without_files_is_passed():
    for source, schema in (("masked", TABLE), ("denoised", GREY), ("rotated", COLOUR)):
        sources.check(source, schema, None)


def item(development, folder, source, given=None, **spec):
    spec = small.SPEC.model_copy(update=spec)
    return sources.SourceRun(
        str(development.path),
        str(folder / "base.keras"),
        source,
        given,
        spec,
        small.SETTINGS,
        pictures=100,
        swap=0.2,
        seed=1,
        name="source",
    )


def features(development, folder):
    """What the base gives for encoded validation examples."""
    data = training.encoded(str(development.path))
    base = archive.load(folder / "base.keras")
    assert base.name == "base"
    assert base.input_shape[1:] == data.shape
    given = base(data.validation[:50], training=False).numpy()
    assert np.isfinite(given).all()
    assert given.std() > 0
    # Nothing changes what it is shown, not even in training.
    changes = {"move", "contrast", "randaugment", "cutout", "swap", "noise", "hide_words"}
    assert changes.isdisjoint(layer.name for layer in base.layers)
    return given


def transferred(development, run, folder=None):
    """The network around the base, after both phases."""
    return phases.transfer(
        phases.TransferRun(
            development=str(development.path),
            folder=folder,
            spec=run.spec,
            settings=small.SETTINGS,
            seed=1,
            name="transfer",
            base=run.model,
            head=Head(pooling="average", hidden=0, dropout=0.0),
            share=1.0,
            frozen=small.SETTINGS,
            unfreeze="all",
            layer_decay=1.0,
        )
    ).tuned


@pytest.mark.parametrize("source", ["fonts", "rotated", "denoised"])
def test_a_network_is_trained_on_pictures_and_carried_over(source, tmp_path):
    development = small.pictures(tmp_path / "data")
    run = item(development, tmp_path, source)

    result = sources.pretrain(run)

    assert result.examples == 2 * 100
    assert features(development, tmp_path).ndim == 2
    written = (tmp_path / "base.keras").read_bytes()
    assert sources.pretrain(run) == result
    assert (tmp_path / "base.keras").read_bytes() == written
    tuned = transferred(development, run)
    assert tuned.predictions.shape == (40, 10)
    assert [lines[0].phase for lines in tuned.lines] == ["frozen", "unfrozen"]


def test_noise_is_learned_to_be_taken_away(tmp_path):
    development = small.pictures(tmp_path / "data", 600)
    run = item(development, tmp_path, "denoised", width=16)
    settings = small.settings(epochs=12, learning_rate=0.01, patience=None)

    lines = sources.pretrain(replace(run, settings=settings, pictures=450)).lines

    losses = [line.val_loss for line in lines]
    # The pictures' own variance is 1: less is known from the noisy ones.
    assert losses[-1] < 0.8 * losses[0]
    assert losses[-1] < 0.7


def test_what_is_turned_is_not_turned_again(tmp_path):
    development = small.pictures(tmp_path / "data")
    changes = {"flip": "horizontal", "rotation": 90.0, "cutout": 0.2}

    sources.pretrain(item(development, tmp_path, "rotated", **changes))

    features(development, tmp_path)
    built = network.build((8, 8, 1), 10, small.spec(**changes), 2)
    assert "move" in [layer.name for layer in built.layers]


@pytest.mark.parametrize("text", ["pool", "convolution", "transformer"])
def test_a_network_is_trained_on_masked_texts_times_and_numbers(text, tmp_path):
    development = small.texts(tmp_path / "data")
    run = item(development, tmp_path, "masked", text=text, word_dropout=0.1, noise=0.1)

    first = sources.pretrain(run)

    written = (tmp_path / "base.keras").read_bytes()
    assert first == sources.pretrain(run)
    assert (tmp_path / "base.keras").read_bytes() == written
    assert first.examples == 2 * 160
    features(development, tmp_path)


@pytest.mark.parametrize("architecture", ["residual", "tabm"])
def test_every_network_of_a_table_is_trained_on_masked_rows_and_carried_over(
    architecture, tmp_path
):
    development = small.texts(tmp_path / "data")
    shape = {"architecture": architecture, "members": 3, "numbers": "periodic", "batch_norm": True}
    run = item(development, tmp_path, "masked", **shape)

    result = sources.pretrain(run)

    assert not result.diverged
    assert features(development, tmp_path).ndim == (3 if architecture == "tabm" else 2)
    tuned = transferred(development, run, str(tmp_path))
    assert tuned.predictions.shape == (60, 2)
    np.testing.assert_allclose(tuned.predictions.sum(axis=1), 1, rtol=1e-5)
    whole = archive.load(tmp_path / "seed-1.keras")
    found = training.predict(whole, development.validation())
    np.testing.assert_allclose(found, tuned.predictions, rtol=1e-4, atol=1e-6)


def test_masked_rows_are_as_many_as_memory_has_room_for(tmp_path, monkeypatch):
    development = small.texts(tmp_path / "data")
    monkeypatch.setattr(source_tables, "IN_MEMORY_BYTES", 10_000)

    result = sources.pretrain(item(development, tmp_path, "masked"))

    assert 0 < result.examples < 160


def test_another_table_is_learned_first(tmp_path):
    development = small.table(tmp_path / "data")
    folder = tmp_path / "given"
    folder.mkdir()
    rows = small.rows(100, 7)
    # One copy of a row that validates, which must not be learned from.
    rows.features["number"] = np.arange(100, dtype=np.float32)
    table = pd.DataFrame(rows.features | {"label": rows.targets})
    known = development.validation().features
    table.loc[100] = [known["number"][0], known["COLOUR"][0], "yes"]
    table.to_csv(folder / "b.csv", index=False)
    source = OtherData(data="b.csv", target=None)
    run = item(development, tmp_path, source, str(folder))

    sources.check(source, development.schema(), str(folder))
    result = sources.pretrain(run)

    assert result.examples == 2 * 80
    assert [line.phase for line in result.lines] == ["source"] * 2
    features(development, tmp_path)


def test_a_model_of_an_earlier_run_is_written_without_training(tmp_path):
    development = small.pictures(tmp_path / "data")
    earlier = training.SeedRun(
        str(development.path), str(tmp_path), small.SPEC, small.SETTINGS, 1, "earlier"
    )
    training.train(earlier)
    source = Earlier(model="seed-1.keras")
    run = item(development, tmp_path, source, str(tmp_path / "seed-1.keras"))

    sources.check(source, development.schema(), run.given)
    result = sources.pretrain(run)

    assert result == sources.SourceResult((), 0, diverged=False)
    written = (tmp_path / "base.keras").read_bytes()
    features(development, tmp_path)
    sources.pretrain(run)
    assert (tmp_path / "base.keras").read_bytes() == written
