"""Scenes of a country's tiles that come from catalogs: searched for, frozen, fetched.

What others may use:

- ``searches``: ``search_scenes``, ``with_found_scenes``: the frozen items of each tile
- ``fetching``: ``fetch_country``, ``plan_fetch``: copies of what a run reads of them
"""
