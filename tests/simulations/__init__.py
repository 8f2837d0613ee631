"""What intervals and tests promise, tried on test sets drawn from known populations."""
