"""A sweep file becomes one validated, frozen `SweepConfig`. No Optuna and no Keras here."""
