"""Adam by TensorFlow's fused kernel: the textbook step, about three times as fast for an embedding as Keras's Adam.

Keras updates an embedding from one gradient for each token of a batch. Where a word occurs twice, its Adam squares the
two gradients one by one, and the second moment is too small; here they are summed first.

The weights of a pretrained encoder have a learning rate of their own, a fixed multiple of the other one, and no weight
decay on biases and norms (Devlin et al. 2019, appendix A.2).
"""

from collections.abc import Sequence
from typing import Any

# At the top, for the base classes; this module is imported only where a network is trained.
import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """Adam, and with `decay` AdamW, with the fused update.

    Args:
        decay: decoupled weight decay (Loshchilov and Hutter 2019), as Keras's AdamW has it.
        decays_vectors: False: only matrices decay, no biases and norms.
        rate_factors: what the learning rate of each trainable variable is multiplied by; none: 1.
    """

    def __init__(
        self,
        *args: Any,
        decay: float = 0.0,
        decays_vectors: bool = True,
        rate_factors: Sequence[float] = (),
        **settings: Any,
    ):
        super().__init__(*args, **settings)
        self._decay = decay
        self._decays_vectors = decays_vectors
        self._rate_factors = rate_factors

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable, which Keras passes as one of TensorFlow.

        The update is that of Kingma and Ba (2015), algorithm 1, in the order of operations at the end of their section
        2.
        """
        index = self._get_variable_index(variable)
        rate = tf.cast(learning_rate, variable.dtype)
        if self._rate_factors:
            rate = rate * self._rate_factors[index]
        if self._decay and (self._decays_vectors or len(variable.shape) > 1):
            variable.assign(variable - variable * self._decay * rate)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.convert_to_tensor(gradient),
        )


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a straight line to the first one of another schedule, which it then follows."""

    def __init__(self, schedule: Any, steps: int):
        self._schedule, self._steps = schedule, steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, counted from 0."""
        done = tf.cast(step, tf.float32)
        rising = self._schedule(tf.zeros_like(done)) * (done + 1) / self._steps
        return tf.where(done < self._steps, rising, self._schedule(tf.maximum(done - self._steps, 0)))
