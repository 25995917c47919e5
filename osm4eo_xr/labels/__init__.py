"""Land-use areas as class rasters.

What others may use:

- ``rasterize``: ``rasterize_labels``, ``count_claims``: lazy class rasters
- ``label_rasters``: ``read_labels``: label rasters that exist already
- ``objects``: ``rasterize_objects``: which object each labeled pixel is from
- ``write``: ``write_labels``: land use, whatever holds it, to a label raster on disk
- ``report``: ``label_report``: what the labels of a place are worth
- ``areas``: ``labeled_km2``: the ground of each class in a file of labels
"""
