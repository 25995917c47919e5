"""Any georeferenced raster in: files, windows, warping, stores, validity.

What others may use:

- ``open``: ``open_raster``, ``open_probabilities``: lazily, on the file's own grid
- ``windows``: open handles per thread, and readers of what is indexed
- ``warp``: ``plan_warp``, ``Warp``: source windows, and GDAL's resampling of them
- ``stores``: Zarr and NetCDF behind rasterio's reads
- ``store_paths``, ``hierarchies``: which group of which Zarr store a path means, and what is there
- ``object_stores``: Zarr stores at addresses, and their staged copies, object by object
- ``files``: which files there are, and how GDAL opens them
- ``companions``: the files that are read with another
- ``bands``: ``RasterBand``, ``describe_bands``: the bands of one file
- ``shares``: ``as_shares``, ``steps_of``: stored probabilities from 0 to 1, and back
- ``staged``: local copies of parts of files elsewhere
- ``remote``: addresses, who grants access to them, attempts where servers fail
- ``validity``: which numbers are no data
"""
