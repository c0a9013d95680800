"""A pipeline of tf.data: digits in shuffled batches, and others that validate."""

import keras
import keras_tuner
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def data():
    """Return a data set to train with, and one that validates."""
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8, 1) / 16
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    train = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(2000, seed=0).batch(32)
    validation = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(64)
    return train, validation


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Return a small convolutional net that shifts what it trains on."""
    model = keras.Sequential([keras.Input((8, 8, 1))])
    model.add(keras.layers.RandomTranslation(*[hp.Float("shift", 0.0, 0.2)] * 2))
    for i in range(hp.Int("blocks", 1, 2)):
        filters = hp.Int(f"filters_{i}", 8, 32, step=8)
        model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Float("learning_rate", 1e-3, 3e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
