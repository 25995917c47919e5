"""Any georeferenced raster in and out: windows, warping, stores, Cloud-Optimized GeoTIFFs.

What others may use:

- ``open``: ``open_raster``, ``open_probabilities``: lazily, on the file's own grid
- ``cog``: ``write_cog``: any lazy raster to a Cloud-Optimized GeoTIFF
- ``cog_set``: several layers of one forward pass as files
- ``windows``: open handles per thread, and readers of what is indexed
- ``warp``: ``plan_warp``, ``Warp``: source windows, and GDAL's resampling of them
- ``stores``: Zarr and NetCDF behind rasterio's reads
- ``files``: which files there are, and how GDAL opens them
- ``validity``: which numbers are no data
- ``sidecars``: the files beside a COG
"""
