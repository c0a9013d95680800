"""One job: build the model, train it epoch by epoch, measure. No Optuna here."""
