"""Search for the values that validate best: a sweep whose jobs Optuna suggests."""
