"""Label smoothing for integer labels, which Keras offers for one-hot labels alone."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable(package="fmnist_sweep")
class SmoothedCrossentropy(keras.losses.Loss):  # type: ignore[misc]  # Keras carries no types
    """Cross-entropy against labels that leave a little of their certainty to every class.

    Of ``k`` classes each gets ``label_smoothing / k``, and the true one the rest besides. The class stands
    alone, on keras, annotations too, so that its source can be copied into a script.

    Args:
        label_smoothing: In [0, 1]; 0 is plain cross-entropy.
    """

    def __init__(self, label_smoothing: float, name: str = "smoothed_crossentropy", **kwargs: object) -> None:
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Return the loss of each image.

        Args:
            y_true: Integer labels, ``(n,)`` or ``(n, 1)``, of any type.
            y_pred: Probabilities, ``(n, n_classes)``.

        Returns:
            Shape ``(n,)``, in nats.
        """
        labels = keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32")
        one_hot = keras.ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
        return keras.losses.categorical_crossentropy(one_hot, y_pred, label_smoothing=self.label_smoothing)

    def get_config(self) -> dict[str, object]:
        """Return the arguments that make an equal loss."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
