"""What `own_nets` takes from another module."""

# Written as users write: without types and docstrings.
# mypy: ignore-errors
# ruff: noqa: D101, D102

import keras


class Stretch(keras.layers.Layer):
    def __init__(self, by=3.0, **settings):
        super().__init__(**settings)
        self.by = by

    def call(self, x):
        return x * self.by

    def get_config(self):
        return {**super().get_config(), "by": self.by}
