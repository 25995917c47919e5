"""Scenes, radar, heights, embeddings and any rasters as one lazy cube of features.

What others may use:

- ``cube``: ``open_features``: sources to one lazy (band, y, x) cube on one grid
- ``sources``: ``FeatureSource``: what a group of features is read from, and how
- ``indices``: ``INDICES``: normalized differences and the like, with their formulas
"""
