"""Satellite products as lazy cubes of reflectance: files, SAFE, STAC, clouds, composites."""
