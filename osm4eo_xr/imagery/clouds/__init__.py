"""Clouds and their shadows out of scenes.

What others may use:

- ``masks``: ``mask_clouds``, ``CLOUD_CLASSES``: clouded pixels to no data, by one of four methods
- ``opening``: ``open_clear_scene``: files to a scene of one date without its clouds
- ``rule``: ``CloudRule``: the thresholds of the rule on reflectances
- ``sun``: ``Sun``, ``sun_position``: where the sun stood
- ``detector``: ``cloud_probability``: s2cloudless on lazy cubes
"""
