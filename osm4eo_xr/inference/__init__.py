"""Scene and model to lazy maps: the only crossing from dask to compiled programs."""
