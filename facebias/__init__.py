"""How biased training data changes CNNs on human faces.

Importing this package loads nothing heavy: the rooms below it import what they need.
"""

__version__ = "0.1.0"
