"""Sweeps: many trainings from one command, planned, launched and taken up again."""
