"""The command line with what tests of several devices need; they set its options as variables.

TEST_WEIGHTS: file for the weights that each device of this process has when a network is trained.
TEST_GPUS: number of logical devices of the processor that take the place of GPUs.
TEST_DIES_AT: step after which this process is killed.
"""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np

from textclf.cli.main import main
from textclf.training import devices, train


def fit_and_save(*arguments: Any, devices: devices.Devices, **settings: Any) -> Any:
    fitted = fit_network(*arguments, devices=devices, **settings)
    if path := os.environ.get("TEST_WEIGHTS"):
        local = devices.strategy.experimental_local_results if devices.strategy else lambda value: (value,)
        weights = [[own.numpy() for own in local(variable.value)] for variable in fitted[0].trainable_variables]
        np.savez(Path(path), *map(np.stack, weights))
    return fitted


def processors(kind: str) -> list[str]:
    import tensorflow as tf

    count = int(os.environ.get("TEST_GPUS", "0"))
    if not count:
        return local_devices(kind)
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * count)
    return [device.name for device in tf.config.list_logical_devices("CPU")]


def mortal_step(self: devices.Devices, *arguments: Any) -> devices.TrainStep:
    step, left = make_step(self, *arguments), [int(os.environ.get("TEST_DIES_AT", "0"))]

    def train_step(*batch: Any) -> tuple[float, bool]:
        result = step(*batch)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return train_step


fit_network, local_devices, make_step = train.fit_network, devices.local_devices, devices.Devices.make_step
if __name__ == "__main__":
    train.fit_network = fit_and_save  # type: ignore[assignment]
    devices.local_devices = processors
    devices.Devices.make_step = mortal_step  # type: ignore[method-assign]
    main()
