"""Cloud-Optimized GeoTIFFs out: levels, overviews, headers and the files beside them.

What others may use:

- ``cog``: ``write_cog``: any lazy raster to a Cloud-Optimized GeoTIFF
- ``cog_set``: several layers of one forward pass as files
- ``cog_file``: ``new_cog``: one COG from its level files, without dask
- ``levels``: level files that threads fill, and the modes of a block
- ``sidecars``: the files beside a COG
"""
