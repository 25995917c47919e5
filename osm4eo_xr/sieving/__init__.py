"""The lazy sieve, exact as in GDAL."""
