"""Imagery and labels as stratified, spatially split sample sets.

What others may use:

- ``draw``: ``draw_samples``: a stratified, spatially split sample set
- ``counts``: ``sample_counts``: how many were wanted and drawn
- ``labeled_tiles``: scenes and their labels in pairs
- ``patches``: ``patch_samples``: patches of one class each
- ``label_weights``: how much each label counts, packed beside its class
- ``store``: ``open_samples``, ``write_samples``: sample sets as Zarr
- ``ground``: pixels and spatial blocks of the ground in which the samples lie
- ``folds``: a set divided anew into folds of blocks or tiles
- ``spatial_split``: ``SPLITS``, and the blocks that keep splits apart
"""
