"""What changed between the maps of two years.

What others may use:

- ``detection``: ``detect_change``: a lazy map of change where both years are sure
- ``change_map``: ``ChangeMap``: that map, its transitions in km², and a design for its areas
- ``decisions``: the rules, on arrays
"""
