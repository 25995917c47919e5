"""Grids, distances and areas on the Earth, and vector files.

- ``geodesy``: segmentized edges and geodesic areas
- ``grid``: the grid of a raster; rasters that know where they are
- ``vectors``: vector files in and out
"""
