"""Land-use areas as class rasters."""
