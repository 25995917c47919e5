"""The ``osm4eo-xr`` command: parse, call, print."""
