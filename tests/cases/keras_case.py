"""The original's network in Keras, and the small file that stands for it where Keras is missing.

    TF_USE_LEGACY_KERAS=1 python -m tests.keras_case

writes ``tests/data/keras_depth11.h5`` (a whole model as the original's trainer saved it, needs
tensorflow and tf_keras) and ``keras_depth11.npz`` (windows and the logits Keras gave for them).
The network is the bottleneck ResNet v2 of Keras' CIFAR-10 example with 5x5 kernels, an average
pool of 3 and windows of 12 pixels.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).with_name("data")
MODEL_FILE = DATA / "keras_depth11.h5"
LOGITS_FILE = DATA / "keras_depth11.npz"


def build(
    keras: Any, *, depth: int, bands: int, width: int = 16, classes: int = 13, **options: Any
) -> Any:
    """Return the network; ``options`` change what an importer has to look at."""
    layers = keras.layers
    epsilon, pool = options.get("epsilon", 1e-3), options.get("pool", 3)

    def conv(x: Any, filters: int, kernel: int, stride: int = 1) -> Any:
        return layers.Conv2D(
            filters, kernel, strides=stride, padding="same", kernel_initializer="he_normal"
        )(x)

    def activate(x: Any) -> Any:
        return layers.Activation("relu")(layers.BatchNormalization(epsilon=epsilon)(x))

    inputs = layers.Input(shape=(12, 12, bands))
    x = activate(conv(inputs, width, 5))
    inner = width
    for stage in range(3):
        outer = inner * (4 if stage == 0 else 2)
        for block in range((depth - 2) // 9):
            stride = 2 if stage and not block else 1
            y = activate(x) if stage + block else x
            y = activate(conv(y, inner, 1, stride))
            y = conv(activate(conv(y, inner, 5)), outer, 1)
            if not block:
                x = conv(x, outer, 1, stride)
            x = layers.add([x, y])
        inner = outer
    x = layers.Flatten()(layers.AveragePooling2D(pool_size=pool)(activate(x)))
    outputs = layers.Dense(classes, activation="softmax", kernel_initializer="he_normal")(x)
    return keras.Model(inputs=inputs, outputs=outputs)


def randomise(model: Any, seed: int = 0) -> None:
    """Give every bias and every statistic a value of its own, so that none can be mixed up."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        weights = layer.get_weights()
        if len(weights) == 4:  # scale, offset, mean, variance
            n = weights[0].size
            weights = [rng.uniform(*r, n) for r in ((0.5, 1), (-0.3, 0.3), (-0.3, 0.3), (1, 2))]
        elif len(weights) == 2:
            weights = [weights[0], rng.uniform(-0.3, 0.3, weights[1].shape)]
        layer.set_weights(weights)


def windows(bands: int, count: int = 8, seed: int = 1) -> np.ndarray:
    """Return inputs in the range the original scaled its scenes to."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, 12, 12, bands)).astype(np.float32)


def logits_of(keras: Any, model: Any, x: np.ndarray) -> np.ndarray:
    """Return what Keras computes before its softmax."""
    model.layers[-1].activation = keras.activations.linear
    model.compile()
    return model.predict(x, verbose=0)


def main() -> None:
    """Write the two files."""
    tf = import_module("tensorflow")  # a peer, not a dependency
    model = build(tf.keras, depth=11, bands=4, width=2)
    model.compile(loss="categorical_crossentropy", optimizer="adam")
    randomise(model)
    DATA.mkdir(exist_ok=True)
    model.save(MODEL_FILE, include_optimizer=False)
    x = windows(4)
    np.savez(LOGITS_FILE, windows=x, logits=logits_of(tf.keras, model, x))


if __name__ == "__main__":
    main()
