"""OpenStreetMap extracts as land-use areas, in bounded memory.

What others may use:

- ``landuse``: ``read_landuse``, ``write_landuse``, ``unclaimed_tags``: an extract's areas, in
  memory or on disk
- ``partitions``: ``open_landuse``: areas on disk, found by place
- ``extract``: an extract's areas in a spool
- ``spool``: areas found again by place, in bounded memory
"""
