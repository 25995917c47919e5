"""The lazy sieve, exact as in GDAL.

What others may use:

- ``lazy_sieve``: ``sieve``: small regions of a class map go to their largest neighbor;
  ``compile_sieve``
"""
