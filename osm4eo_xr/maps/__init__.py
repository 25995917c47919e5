"""Class maps as country maps, layers and polygons."""
