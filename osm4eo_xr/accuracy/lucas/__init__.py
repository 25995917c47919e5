"""LUCAS, the European survey of land use and cover, as points that a map is compared with.

What others may use:

- ``reading``: ``read_lucas``: points or Copernicus polygons of 2018 and 2022, filtered
- ``grid_design``: ``lucas_design``, ``write_lucas``: the survey's points as a sampling design
- ``crosswalk``: which land use and cover of the survey mean which class, or none
"""
