"""A bidirectional LSTM layer for training on a CPU: the numbers of Keras's own, in a half to a third of the time.

XLA compiles the recurrence SPAN steps at a time, and a loop outside it runs over as many spans as a batch is wide, so
that a new width compiles nothing. The gradient is written out: backwards in time only the gates' gradients depend on
one another; those of inputs and weights are large matrix products after each span.
"""

from typing import Any

# At the top, since classes of Keras are derived from; this module is imported only where a network is built to train.
import keras
import tensorflow as tf

SPAN = 16

Tensor = Any


class BidirectionalLSTM(keras.layers.Layer):
    """What `Bidirectional(LSTM(units))` gives for masked, post-padded input.

    Its weights have the order of the stock layer's, so that a network trained with this one hands them over by
    `set_weights`. Padding needs no mask inside the recurrence: it comes after the last token, where no kept state sees
    it; the backward direction reads each row reversed up to its length.
    """

    def __init__(self, units: int, *, return_sequences: bool, name: str):
        super().__init__(name=name)
        self.supports_masking = True
        self.return_sequences = return_sequences
        self.stock = keras.layers.Bidirectional(keras.layers.LSTM(units, return_sequences=return_sequences))

    def build(self, input_shape: Any) -> None:
        self.stock.build(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.stock.compute_output_shape(input_shape)

    def compute_mask(self, _inputs: Any, mask: Any = None) -> Any:
        return mask if self.return_sequences else None

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """States, shape (batch, width, 2 * units), 0 where padded; or the last alone, shape (batch, 2 * units)."""
        batch, width = tf.shape(inputs)[0], tf.shape(inputs)[1]
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        step, row = tf.range(width)[:, None], tf.range(batch)
        last = tf.stack([lengths - 1, row], axis=1)
        found = []
        for layer in (self.stock.forward_layer, self.stock.backward_layer):
            reads = tf.where(step < lengths, lengths - 1 - step, step) if layer.go_backwards else step + 0 * row
            # where each (step, row) stands among the flattened (row, step), and back; gathers beat transposing
            there, back = reads + row * width, tf.transpose(reads * batch + row)
            cell = layer.cell
            states = _lstm(
                _rearranged(inputs, there, back),
                *map(tf.convert_to_tensor, (cell.kernel, cell.recurrent_kernel, cell.bias)),
            )
            if self.return_sequences:
                found.append(tf.where(mask[:, :, None], _rearranged(states, back, there), 0.0))
            else:
                found.append(tf.gather_nd(states, last))
        return tf.concat(found, axis=-1)


@tf.custom_gradient
def _rearranged(values: Tensor, there: Tensor, back: Tensor) -> Any:
    """Rows of the flattened values, in the shape of `there`; `back` is its inverse, so the gradient is a gather too."""
    return tf.gather(_flat(values), there), lambda gradient: (tf.gather(_flat(gradient), back), None, None)


@tf.custom_gradient
def _lstm(inputs: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor) -> Any:
    """States, shape (width, batch, units), of inputs, shape (width, batch, dimensions), from zero states."""
    width, batch, units = tf.shape(inputs)[0], tf.shape(inputs)[1], recurrent.shape[0]
    spans, zero = (width + SPAN - 1) // SPAN, tf.zeros((batch, units))

    def size(span: Tensor) -> Tensor:
        return tf.minimum(SPAN, width - span * SPAN)

    def part(values: Tensor, span: Tensor) -> Tensor:
        filled = [[0, SPAN - size(span)], [0, 0], [0, 0]]  # only the last span is copied: no filling copies nothing
        taken = tf.pad(values[span * SPAN : span * SPAN + size(span)], filled)
        return tf.ensure_shape(taken, (SPAN, None, values.shape[-1]))

    def store() -> tf.TensorArray:
        return tf.TensorArray(tf.float32, spans, clear_after_read=False, infer_shape=False)

    def stored(array: tf.TensorArray, span: Tensor) -> Tensor:
        return tf.ensure_shape(array.read(span), (SPAN, None, units))

    def joined(array: tf.TensorArray, dimensions: int) -> Tensor:
        return tf.reshape(array.stack(), (-1, batch, dimensions))[:width]

    def forward(span: Tensor, h: Tensor, c: Tensor, *saved: tf.TensorArray) -> Any:
        h, c, *values = _forward_span(size(span), part(inputs, span), kernel, recurrent, bias, h, c)
        return (span + 1, h, c, *(array.write(span, value) for array, value in zip(saved, values, strict=True)))

    begin = (0, zero, zero, *(store() for _ in range(6)))
    saved = _loop(lambda span, *_: span < spans, forward, begin)[3:]
    *_, c_saved, h_saved = saved

    def gradient(h_gradients: Tensor) -> Any:
        def backward(span: Tensor, d_inputs: tf.TensorArray, *sums: Tensor) -> Any:
            before = [
                tf.cond(span > 0, lambda array=array: stored(array, span - 1)[-1], lambda: zero)
                for array in (h_saved, c_saved)
            ]
            values = [stored(array, span) for array in saved]
            *sums, d_part = _backward_span(
                size(span), part(inputs, span), kernel, recurrent, *values, *before, part(h_gradients, span), *sums
            )
            return (span - 1, d_inputs.write(span, d_part), *sums)

        begin = (spans - 1, store(), zero, zero, *map(tf.zeros_like, (kernel, recurrent, bias)))
        _, d_inputs, _, _, *d_weights = _loop(lambda span, *_: span >= 0, backward, begin)
        return (joined(d_inputs, kernel.shape[0]), *d_weights)

    return joined(h_saved, units), gradient


def _flat(values: Tensor) -> Tensor:
    return tf.reshape(values, (-1, values.shape[-1]))


def _loop(condition: Any, body: Any, begin: Any) -> Any:
    return tf.while_loop(condition, body, begin, parallel_iterations=1)


@tf.function(jit_compile=True, autograph=False)
def _forward_span(
    steps: Tensor, x: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, h: Tensor, c: Tensor
) -> list[Tensor]:
    """h and c after `steps` of the SPAN steps of x, then i, f, g, o, c, h of each, shape (SPAN, batch, units)."""
    units = recurrent.shape[0]
    projected = tf.reshape(tf.matmul(_flat(x), kernel) + bias, (SPAN, -1, 4 * units))

    def step(t: Tensor, h: Tensor, c: Tensor, *saved: tf.TensorArray) -> Any:
        i, f, g, o = tf.split(projected[t] + tf.matmul(h, recurrent), 4, axis=1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        h = o * tf.tanh(c)
        return (t + 1, h, c, *(array.write(t, value) for array, value in zip(saved, (i, f, g, o, c, h), strict=True)))

    empty = tf.TensorArray(tf.float32, SPAN, element_shape=h.shape)
    _, h, c, *saved = _loop(lambda t, *_: t < steps, step, (0, h, c, *[empty] * 6))
    return [h, c, *(array.stack() for array in saved)]


@tf.function(jit_compile=True, autograph=False)
def _backward_span(
    steps: Tensor, x: Tensor, kernel: Tensor, recurrent: Tensor,
    i: Tensor, f: Tensor, g: Tensor, o: Tensor, c: Tensor, h: Tensor, h_before: Tensor, c_before: Tensor,
    h_gradients: Tensor, dh: Tensor, dc: Tensor, d_kernel: Tensor, d_recurrent: Tensor, d_bias: Tensor,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Back through a span from (h_before, c_before): dh and dc before it, the sums for the weights, and dx."""
    transposed = tf.transpose(recurrent)

    def step(t: Tensor, dh: Tensor, dc: Tensor, saved: tf.TensorArray) -> Any:
        tanh_c = tf.tanh(c[t])
        c_old = tf.where(t > 0, c[tf.maximum(t - 1, 0)], c_before)
        dh = dh + h_gradients[t]
        dc = dc + dh * o[t] * (1 - tanh_c * tanh_c)
        gates = [
            dc * g[t] * i[t] * (1 - i[t]),
            dc * c_old * f[t] * (1 - f[t]),
            dc * i[t] * (1 - g[t] * g[t]),
            dh * tanh_c * o[t] * (1 - o[t]),
        ]
        d_gates = tf.concat(gates, axis=1)
        return t - 1, tf.matmul(d_gates, transposed), dc * f[t], saved.write(t, d_gates)

    empty = tf.TensorArray(tf.float32, SPAN, element_shape=(dh.shape[0], kernel.shape[1]))
    _, dh, dc, saved = _loop(lambda t, *_: t >= 0, step, (steps - 1, dh, dc, empty))
    d_gates, h_old = _flat(saved.stack()), _flat(tf.concat([h_before[None], h[:-1]], axis=0))
    d_kernel += tf.matmul(_flat(x), d_gates, transpose_a=True)
    d_recurrent += tf.matmul(h_old, d_gates, transpose_a=True)
    d_bias += tf.reduce_sum(d_gates, axis=0)
    return dh, dc, d_kernel, d_recurrent, d_bias, tf.reshape(tf.matmul(d_gates, kernel, transpose_b=True), tf.shape(x))
