"""Scene and model to lazy maps: the only crossing from dask to compiled programs.

What others may use:

- ``prediction``: ``classify``, ``read_throughput``: a scene's lazy maps, and what they took
- ``surroundings``: what neighbors show around a scene
- ``outputs``: what a forward pass can give
- ``applicability``: whether a model knows the like of a pixel, in jax
- ``program``: ``ProgramSpec`` and ``predict``: from a block to its maps, in jax
- ``worker``: ``Engine``, ``classify_block``: a block in a worker process; ``compile_inference``
- ``throughput``: ``Throughput``: counts of inference that add up
"""
