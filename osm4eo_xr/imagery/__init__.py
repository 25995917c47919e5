"""Satellite products as lazy cubes of reflectance: files, SAFE, EOPF, clouds, composites.

What others may use:

- ``scenes``: ``open_scene``: files and products to lazy scenes
- ``products``: a folder: ``open_product`` and what products and band files say of themselves
- ``clouds``: a folder: ``mask_clouds`` takes clouds and their shadows out
- ``lazy_scene``: ``stored_scene``: a scene's numbers as its files hold them
- ``compositing``: ``composite``: many observations to one
- ``harmonization``: ``harmonize``: tiles of different days on one radiometry
- ``plausibility``: ``check_scene``, ``places_of``: whether numbers can be reflectance
- ``band_looks``: ``look_at_bands``, ``darkest``: a look at bands as they are opened
- ``scene_grid``: ``read_grid``: a scene's grid from the headers of its files
- ``statistics``: ``band_statistics``: robust statistics from counts that add up
- ``bands``: ``METHOD_BANDS``, ``common_name``: names of bands
"""
