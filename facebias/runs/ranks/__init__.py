"""Training in several processes: how many there are, their start, their errors, their end."""
