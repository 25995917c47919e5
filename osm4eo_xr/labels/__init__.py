"""Land-use areas as class rasters.

What others may use:

- ``rasterize``: ``rasterize_labels``, ``count_claims``, ``read_labels``: lazy class rasters
- ``objects``: ``rasterize_objects``: which object each labeled pixel is from
- ``write``: ``write_labels``: land use, whatever holds it, to a label raster on disk
- ``report``: ``label_report``: what the labels of a place are worth
"""
