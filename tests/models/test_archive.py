import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dataset.examples import PICTURE, Examples
from dataset.target import Target
from models import archive
from models.fitting import determinism, fit
from models.networks import encode, network
from pipeline.errors import InputError
from tests.models import small


def trained(development, *, seed=1):
    determinism.start(seed)
    train = development.train()
    statistics = encode.learn(train, development.schema())
    encoder, target = encode.build(statistics), development.target()
    values, codes = encode.run(encoder, train), target.truth(train.targets)
    spec = small.spec(
        width=4, depth=2, dropout=0.1, l2=0.01, batch_norm=True, text="transformer", embedding=4
    )
    built = network.build(values.shape[1:], 2, spec, 1, statistics.layout)
    settings = small.settings(learning_rate=0.01, batch_size=32, epochs=1, patience=None)
    fit.fit(built, (values, codes), (values, codes), settings, seed, name="archive")
    return network.assemble(encoder, built, target)


@pytest.fixture(scope="module")
def development(tmp_path_factory):
    return small.texts(tmp_path_factory.mktemp("development"))


@pytest.fixture(scope="module")
def model(development):
    return trained(development)


def test_one_model_gives_the_same_bytes_twice(model, tmp_path):
    archive.save(model, tmp_path / "a.keras")
    archive.save(model, tmp_path / "b.keras")

    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_training_again_in_this_process_gives_the_same_bytes(model, development, tmp_path):
    archive.save(model, tmp_path / "a.keras")
    archive.save(trained(development), tmp_path / "b.keras")
    archive.save(trained(development, seed=2), tmp_path / "c.keras")

    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert (tmp_path / "a.keras").read_bytes() != (tmp_path / "c.keras").read_bytes()


@pytest.mark.doors
def test_another_process_gives_the_same_bytes(model, development, tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from models import archive; from dataset.examples import Development\n"
        "from tests.models.test_archive import trained\n"
        "archive.save(trained(Development(Path(sys.argv[1]))), Path(sys.argv[2]))\n"
    )
    arguments = [str(development.path), str(tmp_path / "other.keras")]

    subprocess.run([sys.executable, "-c", script, *arguments], check=True)

    archive.save(model, tmp_path / "this.keras")
    assert (tmp_path / "this.keras").read_bytes() == (tmp_path / "other.keras").read_bytes()


def test_what_is_loaded_predicts_the_same_and_has_its_parts(model, development, tmp_path):
    archive.save(model, tmp_path / "a.keras")

    loaded = archive.load(tmp_path / "a.keras")

    rows = development.validation()
    np.testing.assert_array_equal(encode.run(loaded, rows), encode.run(model, rows))
    assert loaded.get_layer("network").get_layer("logits").units == 2
    assert loaded.get_layer("encoder").get_layer("calendar").missing == [0]


@pytest.mark.doors
def test_a_process_that_built_nothing_can_load_it(model, tmp_path):
    archive.save(model, tmp_path / "a.keras")
    script = (
        "import sys; from pathlib import Path; from models import archive\n"
        "archive.load(Path(sys.argv[1]))\n"
    )

    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.keras")], check=True)


NETWORKS = [
    ("table", "residual", "piecewise"),
    ("table", "tabm", "periodic"),
    ("pictures", "resnet", "plain"),
    ("pictures", "separable", "plain"),
]
"""Of what is there beside the plain one."""


def shown(kind):
    rows = small.letters(30, 1)
    if kind == "table":
        return rows, small.schema("text", "time", "number", "text b")
    pictures = np.random.default_rng(1).normal(size=(30, 8, 8, 1)).astype(np.float32)
    return Examples({PICTURE: pictures}, rows.targets, rows.rows), small.schema(kind="pictures")


def assembled(kind, architecture, numbers):
    determinism.start(1)
    statistics = encode.learn(*shown(kind))
    encoder = encode.build(statistics)
    changes = {"architecture": architecture, "numbers": numbers, "activation": "leaky_relu"}
    spec = small.spec(**changes, members=3, batch_norm=True, l1=0.1, dropout=0.1)
    target = Target(task="classification", names=("a", "b"), quantities=(), class_weights=())
    shape = encoder.output_shape[1:]
    built = network.build(shape, 2, spec, 1, statistics.layout, target.task)
    return network.assemble(encoder, built, target)


@pytest.mark.doors
def test_every_network_is_the_same_file_twice_and_another_process_loads_it(tmp_path):
    for place, kind in enumerate(NETWORKS):
        model, (rows, _) = assembled(*kind), shown(kind[0])
        archive.save(model, tmp_path / f"{place}.keras")
        archive.save(assembled(*kind), tmp_path / "again.keras")
        written = (tmp_path / f"{place}.keras").read_bytes()
        assert written == (tmp_path / "again.keras").read_bytes()
        np.save(tmp_path / f"{place}.npy", encode.run(model, rows))
        assert len(np.unique(encode.run(model, rows)[:, 0])) > 20
    script = (
        "import sys; from pathlib import Path; import numpy as np; from models import archive\n"
        "folder = Path(sys.argv[1])\n"
        "models = [archive.load(folder / f'{place}.keras') for place in range(int(sys.argv[2]))]\n"
        "from models.networks import encode\n"
        "from tests.models.test_archive import NETWORKS, shown\n"
        "for place, (model, kind) in enumerate(zip(models, NETWORKS)):\n"
        "    told = encode.run(model, shown(kind[0])[0])\n"
        "    np.testing.assert_array_equal(told, np.load(folder / f'{place}.npy'))\n"
        "    archive.save(model, folder / f'{place}-again.keras')\n"
    )

    arguments = [str(tmp_path), str(len(NETWORKS))]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True)

    for place in range(len(NETWORKS)):
        again = (tmp_path / f"{place}-again.keras").read_bytes()
        assert again == (tmp_path / f"{place}.keras").read_bytes()


def test_a_file_says_neither_when_nor_where_it_was_written(model, tmp_path):
    archive.save(model, tmp_path / "a.keras")

    with zipfile.ZipFile(tmp_path / "a.keras") as members:
        assert {member.date_time for member in members.infolist()} == {archive.EPOCH}
        assert members.namelist() == sorted(members.namelist())
        assert b"date" not in members.read("metadata.json")
        assert b"shared_object_id" not in members.read("config.json")


def test_nothing_of_the_training_is_in_the_file(model, tmp_path):
    archive.save(model, tmp_path / "a.keras")

    with zipfile.ZipFile(tmp_path / "a.keras") as members:
        assert b"optimizer" not in members.read("config.json")
        assert b"optimizer" not in members.read("model.weights.h5")


def test_code_in_a_file_is_not_executed(tmp_path):
    import keras

    determinism.start(1)
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda value: value * 2)(inputs))
    path: Path = tmp_path / "lambda.keras"
    archive.save(model, path)

    with pytest.raises(InputError, match="would run code from the file"):
        archive.load(path)


def test_a_failed_write_leaves_the_old_file(model, tmp_path):
    path = tmp_path / "a.keras"
    path.write_text("old")

    with pytest.raises(AttributeError):
        archive.save(None, path)

    assert path.read_text() == "old"
    assert [member.name for member in tmp_path.iterdir()] == ["a.keras"]
