"""Satellite products as lazy cubes of reflectance: files, SAFE, clouds, composites.

What others may use:

- ``scenes``: ``open_scene``, ``open_safe``, ``open_safe_classes``: products to lazy scenes
- ``clouds``: a folder: ``mask_clouds`` takes clouds and their shadows out
- ``compositing``: ``composite``: many observations to one
- ``plausibility``: ``check_scene``, ``places_of``, ``darkest``: a look at numbers
- ``scene_grid``: ``read_grid``: a scene's grid from the headers of its files
- ``statistics``: ``band_statistics``: robust statistics from counts that add up
- ``bands``: ``METHOD_BANDS``, ``common_name``: names of bands
"""
