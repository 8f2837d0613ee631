"""A page on this machine that shows a finished run's model on one's own face."""
