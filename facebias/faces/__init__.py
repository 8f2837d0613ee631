"""Generated faces with known causes: shape, picture, regions and populations."""
