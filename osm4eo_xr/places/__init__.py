"""Countries and the tiles that cover them.

For others: ``countries`` (the table of the original and every country of the world by its names),
``outlines`` (boundaries), ``mgrs`` (Sentinel-2's tiles), ``tilings`` (tiles of a country).
"""
