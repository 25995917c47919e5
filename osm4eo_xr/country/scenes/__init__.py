"""Scenes of a country's tiles that come from catalogs: searched for, frozen, fetched.

What others may use:

- ``searches``: ``search_scenes``, ``with_found_scenes``: the frozen items of each tile
- ``composites``: ``copied_items``, ``tile_composite``: what a tile's composite reads and is
- ``clear_looks``: how often a tile's pixels were seen clear, once fetched
- ``fetching``: ``fetch_country``, ``plan_fetch``: copies of what a run reads of them
"""
