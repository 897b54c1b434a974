"""The devices that train a network: one, all GPUs of a machine, or those of several workers.

Each device holds the whole network and takes its rows of every batch. Losses are divided by the weight of the whole
batch and gradients are summed over the devices, so a step is that of one device, up to rounding.
"""

import contextlib
import faulthandler
import io
import logging
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.schema import TrainingOptions
from textclf.errors import UserError
from textclf.training.checkpoint import Checkpoint, TrainingState, load_state
from textclf.training.cluster import Cluster, meet
from textclf.training.tensorflow_setup import start_tensorflow

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

TrainStep = Callable[[Array, Array, Array, bool], tuple[float, bool]]
"""From padded token ids, targets and weights of a batch, and whether this process is to stop, to the loss of the batch
and whether all are to stop."""

STRATEGY_SECONDS = 120.0  # in which TensorFlow connects workers that have met, before the process gives up

# In TensorFlow's errors where a worker does not answer, which are of many classes
_GONE = re.compile(r"Collective ops is aborted|stopped sending heartbeats|remote target /job|Socket closed")

SEED_STEP = 1_000_003  # between the seeds of dropout on two devices


@dataclass(frozen=True)
class Devices:
    """The devices that train a network together."""

    kind: str
    """"cpu" or "gpu"."""
    strategy: Any = None
    """A strategy of tf.distribute; None: one device."""
    cluster: Cluster | None = None
    """The workers whose devices they are; None: those of this process."""

    @property
    def count(self) -> int:
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    @property
    def is_chief(self) -> bool:
        """True for the process that evaluates, decides and writes files."""
        return self.cluster is None or self.cluster.is_chief

    @property
    def description(self) -> str:
        """The devices as environment.json names them."""
        return self.kind if self.strategy is None else f"{self.count} x {self.kind}"

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Put the variables that the block makes on all devices.

        Raises:
            UserError: another worker is gone.
        """
        with contextlib.ExitStack() as stack:
            if self.strategy:
                stack.enter_context(self._needs_others())
                stack.enter_context(self.strategy.scope())
            yield

    def batch_rows(self, batch_size: int) -> int:
        """Return the rows that a batch is filled up to, so that each device takes as many."""
        return -(-batch_size // self.count) * self.count

    def make_step(self, step: Callable[..., Any], signature: list[Any]) -> TrainStep:
        """Return a step that all devices take together.

        Args:
            step: takes token ids, targets and weights of some rows, and the weight of the whole batch; returns the part
                of these rows in the loss.
            signature: shapes and types of the first three.
        """
        import tensorflow as tf

        signature = [*signature, tf.TensorSpec((), tf.float32)]
        strategy, count = self.strategy, self.count
        if strategy is None:
            on_one = tf.function(step, input_signature=signature, autograph=False)
            return lambda *batch: (float(on_one(*batch[:3], _weight(batch[2]))), batch[3])

        @tf.function(input_signature=[*signature, tf.TensorSpec((), tf.float32)], autograph=False)
        def on_all(*arguments: Any) -> Any:
            *batch, weight, stop = arguments

            def on_each() -> Any:
                device, rows = tf.distribute.get_replica_context().replica_id_in_sync_group, tf.shape(batch[0])[0]
                own = slice(device * rows // count, (device + 1) * rows // count)
                return tf.stack([step(*(values[own] for values in batch), weight), stop])

            return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(on_each), axis=None)

        def train_step(token_ids: Array, targets: Array, weights: Array, stop: bool) -> tuple[float, bool]:
            loss, stops = on_all(token_ids, targets, weights, _weight(weights), np.float32(stop)).numpy()
            return float(loss), bool(stops)

        return train_step

    def sum(self, values: Array) -> Array:
        """Return the sum of the workers' values, which are float64 or int64.

        Raises:
            UserError: another worker is gone.
        """
        if self.cluster is None:
            return values
        import tensorflow as tf

        _keep_sigterm()
        with self._needs_others(), tf.device("CPU:0"):
            total: Array = self.strategy.reduce(tf.distribute.ReduceOp.SUM, tf.convert_to_tensor(values), axis=None)
            return np.asarray(total)

    def broadcast(self, content: bytes) -> bytes:
        """Send bytes from the chief to all workers; return the chief's in each, whatever the others give.

        Raises:
            UserError: another worker is gone.
        """
        if self.cluster is None:
            return content
        own = content if self.is_chief else b""
        size = int(self.sum(np.array([len(own)], np.int64))[0])
        numbers = np.zeros(-(-size // 8), np.int64)
        if own:
            numbers[:] = np.frombuffer(own.ljust(8 * len(numbers), b"\0"), np.int64)
        return self.sum(numbers).tobytes()[:size] if size else b""

    def load(self, checkpoint: Checkpoint | None, variables: list[Any]) -> TrainingState:
        """Assign the values of the checkpoint, which the chief alone reads, and return the state of all workers.

        Raises:
            UserError: the checkpoint is damaged or of another network, or another worker is gone.
        """
        if self.cluster is None:
            return checkpoint.load(variables) if checkpoint else TrainingState()
        content = self.broadcast(checkpoint.read_bytes() if checkpoint else b"")
        return load_state(io.BytesIO(content), variables, name="the chief's checkpoint") if content else TrainingState()

    def vary_dropout(self, network: Any) -> None:
        """Give dropout another seed on each device, the same again when a training is resumed."""
        if self.strategy is None:
            return
        first = self.cluster.index * len(self.strategy.extended.worker_devices) if self.cluster else 0
        for variable in network.non_trainable_variables:
            if variable.path.endswith("seed_generator_state"):
                for index, own in enumerate(self.strategy.experimental_local_results(variable.value), start=first):
                    own.assign_add([SEED_STEP * index, 0])

    @contextlib.contextmanager
    def _needs_others(self) -> Iterator[None]:
        """Turn TensorFlow's errors where a worker is gone into a UserError."""
        import tensorflow as tf

        try:
            yield
        except tf.errors.OpError as error:
            if self.cluster is None or not _GONE.search(str(error)):
                raise
            raise UserError(_gone(self.cluster, str(error))) from None


ONE = Devices("cpu")
"""A single device; what kind it is does not matter to the loop."""


def start_devices(options: TrainingOptions, cluster: Cluster | None) -> Devices:
    """Start TensorFlow and return the devices to train on, by the strategy of the options.

    Raises:
        UserError: there are too few devices, or a worker of the cluster does not come.
    """
    kind = start_tensorflow(device=options.device)
    import tensorflow as tf

    names = local_devices(kind)
    if cluster:
        return Devices(kind, _join(cluster, gpus=len(names)), cluster)
    if options.strategy == "mirrored" and len(names) < 2:
        raise UserError(
            f"training.strategy is 'mirrored', which needs two GPUs or more; TensorFlow may use {len(names)}. "
            "Set it to auto or one."
        )
    if len(names) < 2 or options.strategy == "one" or options.accumulate > 1:
        return Devices(kind)
    logger.info("each batch is dealt to %d GPUs", len(names))
    return Devices(kind, tf.distribute.MirroredStrategy(names))


def local_devices(kind: str) -> list[str]:
    """Return the names of the GPUs that this process may use; none on a CPU."""
    import tensorflow as tf

    # counted without starting them: workers must be connected first
    return [f"GPU:{index}" for index in range(len(tf.config.get_visible_devices("GPU")))] if kind == "gpu" else []


def _join(cluster: Cluster, *, gpus: int) -> Any:
    """Return the strategy once all workers are there.

    Raises:
        UserError: a worker does not come.
    """
    import tensorflow as tf

    meet(cluster)
    # TensorFlow would wait for ever for a worker that died just now
    faulthandler.dump_traceback_later(STRATEGY_SECONDS, exit=True)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker", task_id=cluster.index, rpc_layer="grpc", num_accelerators={"GPU": gpus},
    )  # fmt: skip
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    faulthandler.cancel_dump_traceback_later()
    _keep_sigterm()
    writes = "this one writes" if cluster.is_chief else f"{cluster.name(0)} writes"
    logger.info(
        "%s of %d, which train together; %s the run", cluster.name(cluster.index), len(cluster.addresses), writes
    )
    return strategy


def _keep_sigterm() -> None:
    """Set Python's handler of SIGTERM again: TensorFlow sets its own, at times only after its workers are connected."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _gone(cluster: Cluster, message: str) -> str:
    """Return a message for an error of TensorFlow's that says which worker is gone."""
    others = {int(index) for index in re.findall(r"task:(\d+)", message)} - {cluster.index}
    named = [cluster.name(index) for index in sorted(others) if index < len(cluster.addresses)]
    return (
        f"{', '.join(named) or 'another worker'} is gone, so {cluster.name(cluster.index)} ends too. "
        "Start all workers again, with --resume."
    )


def _weight(weights: Array) -> np.float32:
    """Return the number of targets in a batch that have a weight: its blank rows have none."""
    return np.float32(np.count_nonzero(weights))
