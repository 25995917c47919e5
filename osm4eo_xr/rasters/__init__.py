"""Any georeferenced raster in and out: windows, warping, stores, Cloud-Optimized GeoTIFFs."""
