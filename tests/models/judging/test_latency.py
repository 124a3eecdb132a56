import time

import numpy as np
import pytest

from dataset.examples import Development, Examples
from models import training
from models.distillation import lite
from models.judging import latency
from models.networks import encode, network
from models.settings import NetworkSpec
from pipeline import clock
from tests.models import small


@pytest.fixture
def spans():
    clock.take()
    yield clock.take
    clock.take()


def saved(development, path, **changes):
    """A model that was never trained."""
    from models import archive

    data = training.encoded(str(development.path))
    spec: NetworkSpec = small.spec(**changes)
    built = network.build(data.shape, data.target.outputs, spec, 1, data.layout, data.target.task)
    archive.save(network.assemble(data.encoder(), built, data.target), path)
    return path


def converted(model, path, kind=None):
    """The network of a saved model as TensorFlow Lite has it; `kind`: of its inputs, in 8 bits."""
    import tensorflow as tf

    from models import archive

    built = archive.load(model).get_layer("network")
    shape = (1, *built.input_shape[1:])
    called = tf.function(
        lambda inputs: built(inputs, training=False),
        input_signature=[tf.TensorSpec(shape, tf.float32)],
        autograph=False,
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([called.get_concrete_function()])
    if kind is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [np.full(shape, value, np.float32)] for value in (-1, 0, 1)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(kind)
    with lite.quietly():
        path.write_bytes(converter.convert())
    return path


def names(*models):
    return {f"latency {model} {batch}" for model in models for batch in (1, 256)}


def named(folder):
    """A table with a column that no operation can be called like."""
    development = Development(folder)
    parts = []
    for seed in (1, 2):
        rows = small.rows(40, seed)
        rows.features["grösse [m] / 5 %"] = rows.features.pop("number")
        parts.append(rows)
    development.write(*parts, small.schema("grösse [m] / 5 %", "COLOUR"), "none")
    return development


@pytest.mark.parametrize("made", [small.table, named, small.pictures, small.texts])
def test_every_model_is_timed_alone_and_in_batches(tmp_path, spans, made):
    development = made(tmp_path / "development")
    models = {
        "baseline": saved(development, tmp_path / "one.keras"),
        "a search": saved(development, tmp_path / "two.keras", width=8),
    }

    latency.measure(models, development.validation())

    told = spans()
    assert set(told) == names("baseline", "a search")
    assert all(0 < seconds < 10 for seconds in told.values())


@pytest.mark.parametrize("kind", [None, "int8"])
def test_a_converted_network_is_timed_on_what_the_encoder_gives(
    tmp_path, spans, monkeypatch, capfd, kind
):
    development = small.table(tmp_path / "development")
    model = saved(development, tmp_path / "model.keras")
    path = converted(model, tmp_path / "network.tflite", kind)
    asked = []
    quantised = latency._quantised
    monkeypatch.setattr(
        latency,
        "_quantised",
        lambda values, taken: asked.append(quantised(values, taken)) or asked[-1],
    )
    capfd.readouterr()

    latency.measure({"student": model, "in 8 bits": path}, development.validation())

    assert set(spans()) == names("student", "in 8 bits")
    assert len(asked) == 1 + 256
    kinds = {values.dtype for values in asked}
    assert kinds == {np.dtype(kind or "float32")}
    # Forty examples, over and over.
    for first, again in zip(asked[1:41], asked[41:81], strict=True):
        np.testing.assert_array_equal(first, again)
    assert capfd.readouterr().err == ""


def test_what_is_told_is_of_one_example(tmp_path, spans, monkeypatch):
    development = small.table(tmp_path / "development")
    monkeypatch.setattr(latency, "typical", lambda run: 2.56)
    latency.measure({"it": saved(development, tmp_path / "it.keras")}, development.validation())
    assert spans() == {"latency it 1": 2.56, "latency it 256": 0.01}


def test_whole_numbers_are_those_that_the_network_means():
    taken = {"dtype": np.int8, "quantization": (0.5, 3)}
    values = np.array([[0.0, 1.0, -1.0, 1000.0, -1000.0]], np.float32)
    assert latency._quantised(values, taken).tolist() == [[3, 5, 1, 127, -128]]
    plain = {"dtype": np.float32, "quantization": (0.0, 0)}
    assert latency._quantised(values, plain) is values


def test_the_answer_is_that_of_the_saved_model(tmp_path):
    from models import archive

    development = small.table(tmp_path / "development")
    path = saved(development, tmp_path / "model.keras")
    examples = development.validation()

    run = latency._traced(path)(examples)

    np.testing.assert_allclose(run(), encode.run(archive.load(path), examples), atol=1e-6)


def test_a_figure_is_the_median_of_warm_runs(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    # Two that are not counted, then three: no further one begins after so long.
    takes = iter([100.0, 50.0, 3.0, 1.0, 2.0])

    def run():
        now[0] += next(takes)

    assert latency.typical(run) == 2.0
    assert next(takes, None) is None


def test_quick_runs_are_counted_so_often_and_no_more(monkeypatch):
    now, runs = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    assert latency.typical(lambda: runs.append(1)) == 0
    assert len(runs) == latency.WARM + latency.MOST


def test_without_examples_or_an_encoder_nothing_can_be_measured(tmp_path, spans):
    development = small.table(tmp_path / "development")
    given = development.validation()
    none = Examples(
        {name: values[:0] for name, values in given.features.items()},
        given.targets[:0],
        given.rows[:0],
    )
    with pytest.raises(ValueError, match="got none"):
        latency.measure({}, none)
    with pytest.raises(ValueError, match=r"needs a \.keras model"):
        latency.measure({"in 8 bits": tmp_path / "network.tflite"}, given)
    assert spans() == {}
