"""Per-group measurement of predictions: counts, metrics, intervals, tables."""
