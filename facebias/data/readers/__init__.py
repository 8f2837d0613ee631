"""Readers: one file for each kind of layout on disk, each returns a FaceTable."""
