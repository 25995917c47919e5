"""Grids, distances and areas on the Earth, and vector files.

- ``antimeridian``: outlines and boxes in degrees, split where they cross it
- ``geodesy``: segmentized edges and geodesic areas
- ``known_classes``: class maps checked against a legend
- ``grid``: the grid of a raster; rasters that know where they are
- ``vectors``: vector files in and out
- ``views``: the eight flips and quarter turns of a square image
"""
