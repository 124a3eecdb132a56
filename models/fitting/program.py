"""Training as compiled graphs that serve every network of one make.

Building and tracing a training step takes longer than many a fit. A graph that holds its weights in
variables, and rates as constants, serves one network; so every trial and every seed would pay. Here
weights, statistics, seeds and the optimizer's state go in as tensors and come out again, and so do
the learning rate, its schedule, the batch size, penalties, dropout and weight decay. Of networks of
dense layers not even widths are in the graph. What a graph is made of follows from what a fit is,
and from nothing that ran before: so a fit gives the same bytes in a new process and in an old one.

The layers are those of a *twin*, a copy of the first network of its make without its values, which
no caller ever sees.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from models.fitting import make, replicas
from models.fitting.criterion import Criterion, each_member
from models.fitting.make import Make
from models.fitting.mixing import Mixing
from models.fitting.precision import Scaling, lowered
from models.fitting.replicas import Found
from models.fitting.rows import Rows
from models.fitting.tensors import Tensors
from models.fitting.updates import Rule
from models.settings import FitSettings, Precision

MOST = 16
"""Programs that a process keeps; of more the one that was not used for longest goes."""


class State(NamedTuple):
    """What a step changes."""

    weights: Tensors
    others: Tensors
    """Statistics of normalisations, and the state of what draws numbers."""
    slots: Tensors
    """The optimizer's."""
    average: Tensors
    """Of the weights; nothing where they are not averaged."""
    scale: Tensors
    """Of the loss, see `models.fitting.precision.Scaling`; nothing where it is not scaled."""
    at: Any
    """Steps so far, int64."""


class Values(NamedTuple):
    """What a fit sets and no step changes."""

    l1: Any
    l2: Any
    """`(p,)`, of every weight with a penalty."""
    dropout: Any
    """`(d,)`, of every dropout."""
    decay: Any
    """Of adamw."""
    seed: Any
    """Of mixtures, int64."""


class Arithmetic(NamedTuple):
    """How a step is computed."""

    precision: Precision
    replicas: int
    """Parts of every batch, see `models.fitting.replicas`."""


class Program:
    """The graphs of one make of network, criterion and optimizer."""

    def __init__(
        self,
        made: Make,
        network: keras.Model,
        criterion: Criterion,
        rule: Rule,
        mixing: Mixing | None,
        arithmetic: Arithmetic,
        examples: Sequence[tf.TensorSpec],
    ) -> None:
        """`examples`: inputs, codes and, where there are any, weights, `(n, …)`."""
        self._made = made
        self._twin = made.twin(network)
        self._criterion = criterion
        self._rule = rule
        self._mixing = mixing
        self._precision = arithmetic.precision
        self._scaling = Scaling(arithmetic.precision)
        self._devices = replicas.devices(arithmetic.replicas)
        self._examples = tuple(examples)
        self._outputs = network.output_shape[-1]
        self._dropouts = make.dropouts(self._twin)
        self._from_memory: Any = None
        self._from_file: Any = None
        self._forward: Any = None

    def begin(self, network: keras.Model) -> State:
        """The state of an untrained fit of a network of this make."""
        weights = [tf.identity(one.value) for one in network.trainable_variables]
        others = [tf.identity(one.value) for one in network.non_trainable_variables]
        average = list(weights) if self._rule.ema is not None else []
        slots, scale = self._rule.slots(weights), self._scaling.begin()
        return State(weights, others, slots, average, scale, tf.constant(0, tf.int64))

    def values(self, network: keras.Model, settings: FitSettings, seed: int) -> Values:
        """What a fit of that network sets."""
        penalties, dropout = make.penalties(network), make.rates(network)
        return Values(
            tf.constant([one for one, _ in penalties], tf.float32),
            tf.constant([two for _, two in penalties], tf.float32),
            tf.constant(dropout, tf.float32),
            tf.constant(settings.weight_decay, tf.float32),
            tf.constant(seed, tf.int64),
        )

    def epoch(
        self,
        arrays: Sequence[Any],
        size: int,
        key: tuple[int, int],
        rates: npt.NDArray[np.float32],
        state: State,
        values: Values,
    ) -> tuple[State, float, float]:
        """Train on every example of `arrays`, tensors `(n, …)`, once, in batches of `size`.

        key: what the order follows from, a seed and the number of the epoch. rates: learning
        rates, one for each step. Gives the state, the mean loss with penalties, and the share that
        was right.
        """
        if self._from_memory is None:
            self._from_memory = self._compiled(self._in_memory, self._memory_specs(state, values))
        counted = tf.constant(size, tf.int32), tf.constant(key, tf.int64), tf.constant(rates)
        state, loss, right = self._from_memory(tuple(arrays), *counted, state, values)
        return state, float(loss), float(right)

    def epoch_from(
        self, iterator: Any, rates: npt.NDArray[np.float32], state: State, values: Values
    ) -> tuple[State, float, float]:
        """The same with as many batches of an iterator, in its order, as there are rates."""
        if self._from_file is None:
            self._from_file = tf.function(self._drawn, autograph=False)
        state, loss, right = self._from_file(iterator, tf.constant(rates), state, values)
        return state, float(loss), float(right)

    def outputs(self, inputs: Rows, state: State, size: int) -> npt.NDArray[np.float32]:
        """What the network gives at inference, `(n, k)`, for `(n, …)` inputs, `size` at a time."""
        if self._forward is None:
            specs = [self._examples[0], *self._specs((self._shown(state), state.others))]
            self._forward = self._compiled(self._inferred, specs)
        shown = self._shown(state)
        parts = [
            self._forward(tf.constant(inputs[start : start + size]), shown, state.others).numpy()
            for start in range(0, len(inputs), size)
        ]
        values: npt.NDArray[np.float32] = np.concatenate(parts)
        return values

    def finish(self, network: keras.Model, state: State) -> None:
        """Give the network the weights that the state shows."""
        for variable, value in zip(network.trainable_variables, self._shown(state), strict=True):
            variable.assign(value)
        for variable, value in zip(network.non_trainable_variables, state.others, strict=True):
            variable.assign(value)

    def _shown(self, state: State) -> Tensors:
        """The weights that are validated and kept: their average, where there is one."""
        return state.average or state.weights

    def _compiled(self, function: Callable[..., Any], specs: Sequence[Any]) -> Any:
        return tf.function(function, input_signature=specs, autograph=False)

    def _specs(self, tensors: Any) -> Any:
        """What tensors look like to a graph that serves all networks of this make."""

        def spec(tensor: Any) -> tf.TensorSpec:
            shape = [None] * len(tensor.shape) if self._made.any_width else tensor.shape
            return tf.TensorSpec(shape, tensor.dtype)

        return tf.nest.map_structure(spec, tensors)

    def _memory_specs(self, state: State, values: Values) -> list[Any]:
        return [
            self._examples,
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec((2,), tf.int64),
            tf.TensorSpec((None,), tf.float32),
            self._specs(state),
            self._specs(values),
        ]

    def _in_memory(
        self, arrays: Any, size: Any, key: Any, rates: Any, state: State, values: Values
    ) -> Any:
        count = tf.shape(arrays[0])[0]
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=key)

        def batch(step: Any) -> list[Any]:
            places = order[step * size : (step + 1) * size]
            return [tf.gather(array, places) for array in arrays]

        return self._steps(batch, rates, state, values)

    def _drawn(self, iterator: Any, rates: Any, state: State, values: Values) -> Any:
        return self._steps(lambda step: list(iterator.get_next()), rates, state, values)

    def _steps(
        self, batch: Callable[[Any], list[Any]], rates: Any, state: State, values: Values
    ) -> Any:
        """A step for each rate, one after the other."""

        def body(step: Any, sums: Any, state: State) -> Any:
            found, state = self._step(batch(step), rates[step], state, values)
            return step + 1, sums + found, state

        begin = tf.constant(0), tf.zeros(3), state
        shapes = tf.nest.map_structure(lambda spec: spec.shape, self._specs(begin))
        _, sums, state = tf.while_loop(
            lambda step, sums, state: step < tf.size(rates),
            body,
            begin,
            shape_invariants=shapes,
            parallel_iterations=1,
        )
        return state, sums[0] / sums[2], sums[1] / sums[2]

    def _step(self, batch: list[Any], rate: Any, state: State, values: Values) -> Any:
        """Sums over the batch of loss, right answers and examples; and the state after it."""
        criterion = self._criterion
        if self._mixing is not None:
            mixing = Mixing(self._mixing.alpha, self._mixing.task, values.seed)
            batch, criterion = (
                list(mixing.mixed(state.at, tuple(batch))),
                mixing.criterion(criterion),
            )
        count = tf.cast(tf.shape(batch[0])[0], tf.float32)
        found = replicas.joined(
            [
                self._part(batch, place, count, criterion, state, values)
                for place in range(len(self._devices))
            ]
        )
        sums = tf.stack([found.loss * count, found.right, count])
        after = self._changed(found, rate, state, values)
        return self._unless_lost(sums, after, found, state) if self._scaling.on else (sums, after)

    def _part(
        self,
        batch: list[Any],
        place: int,
        count: Any,
        criterion: Criterion,
        state: State,
        values: Values,
    ) -> Found:
        """What a part of the batch leads to, on the device that it has."""
        alone = len(self._devices) == 1
        own, counts = (batch, 1.0) if alone else replicas.part(batch, place, len(self._devices))
        with replicas.on(self._devices[place]):
            inputs, codes, *weights = own
            inputs.set_shape((None, *self._examples[0].shape[1:]))
            codes = tf.cast(codes, tf.float32)
            begun = replicas.started(state.others, place)
            with tf.GradientTape() as tape:
                tape.watch(state.weights)
                outputs, others = self._called(inputs, state.weights, begun, values.dropout)
                losses = each_member(criterion.loss)(codes, outputs)
                losses = losses * weights[0] if weights else losses
                mean = tf.reduce_mean(losses) if alone else tf.reduce_sum(losses) * counts / count
                # Once is enough, and the same sums are then the same wherever parts are computed.
                loss = mean + self._penalty(state.weights, values) if place == 0 else mean
                scaled = self._scaling.scaled(loss, state.scale)
            gradients = tape.gradient(scaled, state.weights)
            right = tf.zeros(())
            if criterion.correct is not None:
                answered = each_member(criterion.correct)(codes, outputs)
                right = tf.reduce_sum(tf.cast(answered, tf.float32)) * counts
        return Found(self._scaling.restored(gradients, state.scale), others, loss, right)

    def _changed(self, found: Found, rate: Any, state: State, values: Values) -> State:
        """The state after a step."""
        weights, slots = self._rule.step(
            found.gradients, state.weights, state.slots, state.at, rate, values.decay
        )
        average = self._rule.averaged(state.average, weights, state.at)
        return State(weights, found.others, slots, average, state.scale, state.at + 1)

    def _unless_lost(self, sums: Any, after: State, found: Found, state: State) -> Any:
        """What a step leaves; where gradients were too large for float16 nothing but a smaller
        scale, and what draws numbers."""
        well = self._scaling.went_well(found.gradients)
        kept = tf.nest.map_structure(lambda new, old: tf.where(well, new, old), after, state)
        others = [
            old if new.dtype.is_floating else new
            for old, new in zip(kept.others, after.others, strict=True)
        ]
        scale = self._scaling.after(well, state.scale)
        return tf.where(well, sums, 0.0), kept._replace(others=others, scale=scale)

    def _penalty(self, weights: Tensors, values: Values) -> Any:
        parts = []
        for number, place in enumerate(self._made.penalised):
            if self._made.absolute:
                parts.append(values.l1[number] * tf.reduce_sum(tf.abs(weights[place])))
            parts.append(values.l2[number] * tf.reduce_sum(tf.square(weights[place])))
        return tf.add_n(parts) if parts else 0.0

    def _called(
        self, inputs: Any, weights: Tensors, others: Tensors, dropout: Any, training: bool = True
    ) -> tuple[Any, Tensors]:
        """The twin's outputs with these weights, and what it leaves of the others."""
        twin = self._twin
        if training:
            for place, layer in enumerate(self._dropouts):
                layer.share = dropout[place]
        with keras.StatelessScope() as scope:
            for variable, value in zip(twin.trainable_variables, weights, strict=True):
                scope.add_update((variable, value))
            for variable, value in zip(twin.non_trainable_variables, others, strict=True):
                scope.add_update((variable, value))
            with lowered(twin, self._precision if training else "float32"):
                outputs = tf.cast(twin(inputs, training=training), tf.float32)
        # Layers of unknown width do not say how many numbers they give.
        outputs.set_shape((*outputs.shape[:-1], self._outputs))
        return outputs, [scope.get_current_value(one) for one in twin.non_trainable_variables]

    def _inferred(self, inputs: Any, weights: Tensors, others: Tensors) -> Any:
        return self._called(inputs, weights, others, None, training=False)[0]


_kept: OrderedDict[Any, Program] = OrderedDict()


def of(
    network: keras.Model,
    criterion: Criterion,
    settings: FitSettings,
    mixing: Mixing | None,
    factors: Sequence[float],
    arrays: Sequence[Any],
) -> Program:
    """The program for such fits: one that was made already, or a new one.

    arrays: inputs, codes and, where there are any, weights, of which shapes and types matter.
    """
    made = Make.of(network)
    rule = Rule.of(settings, [one.name for one in network.trainable_variables], factors)
    arithmetic = Arithmetic(settings.precision, settings.replicas)
    examples = tuple(
        tf.TensorSpec((None, *array.shape[1:]), tf.as_dtype(_type(array))) for array in arrays
    )
    if made.key is None:
        return Program(made, network, criterion, rule, mixing, arithmetic, examples)
    mixed = None if mixing is None else (mixing.alpha, mixing.task)
    key = made.key, criterion.loss, criterion.correct, rule, mixed, arithmetic, examples
    program = _kept.pop(key, None) or Program(
        made, network, criterion, rule, mixing, arithmetic, examples
    )
    _kept[key] = program
    while len(_kept) > MOST:
        _kept.popitem(last=False)
    return program


def _type(array: Any) -> Any:
    """Rows of a file are float32 and have no word for it."""
    return getattr(array, "dtype", np.float32)
