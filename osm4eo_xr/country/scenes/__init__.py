"""Scenes of a country's tiles: searched for, frozen, fetched, brought to one radiometry.

What others may use:

- ``settings``: ``SceneFiles``: where the imagery of a tile comes from
- ``tiles``: ``Tile``, ``find_tiles``: the tiles of a run and their files
- ``label_rasters``: ``given_labels``: the class raster of each tile, of those that are listed
- ``open_offsets``: ``OpenOffsets``: tiles that leave their offset open, told once
- ``searches``: ``search_scenes``, ``with_found_scenes``: the frozen items of each tile
- ``composites``: ``copied_items``, ``tile_composite``: what a tile's composite reads and is
- ``clear_looks``: how often a tile's pixels were seen clear, once fetched
- ``fetching``: ``fetch_country``, ``plan_fetch``: copies of what a run reads of them
- ``harmony``: ``open_common``: a tile's scene on the common radiometry; the piece that finds it
- ``feature_cubes``: ``open_seen``: what the model sees of a tile; what features cost
"""
