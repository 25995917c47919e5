"""Scene and model to lazy maps: the only crossing from dask to compiled programs.

What others may use:

- ``prediction``: ``classify``: a scene's lazy maps
- ``blocks``: ``block_edges``: where a scene is cut
- ``throughput``: ``read_throughput``: what inference took, in counts that add up
- ``surroundings``: what neighbors show around a scene
- ``outputs``: what a forward pass can give
- ``applicability``: whether a model knows the like of a pixel, in jax
- ``program``: ``ProgramSpec`` and ``predict``: from a block to its maps, in jax
- ``worker``: ``Engine``, ``classify_block``: a block in a worker process; ``compile_inference``
"""
