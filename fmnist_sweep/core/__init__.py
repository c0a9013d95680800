"""Words that everybody shares: errors, jobs, curves, scores, spaces. No Optuna and no Keras here."""
