"""Sampling designs: points drawn from a map, written for interpreters, and their labels.

What others may use:

- ``points``: ``design_points``: points of a stratified, systematic or cluster design
- ``allocation``: how many points a design needs, and each stratum gets
- ``design``: ``SamplingDesign``, ``write_design`` and ``open_design``: a design as a folder
- ``interpretation``: labels by one or several interpreters, and their agreement
- ``population``: pixels of a lazy map by stratum, counted per chunk
"""
