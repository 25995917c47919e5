"""Features by their ids, ``source:band@period``.

What others may use:

- ``ids``: ``Feature``, ``Group``, ``parse_feature``, ``is_plain``, ``groups_of``: ids, and groups
  of one source and period
- ``channels``: ``Channels``, ``channels_of``: which channels of an array are there together
- ``periods``: ``days_of``, ``middle_day``: the days of a period
"""
