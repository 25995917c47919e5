"""The commands, a module per group.

- ``labels``: labels, their agreement with a map, composites
- ``training``: samples, training, cross-validation
- ``maps``: classified maps, sieving, mosaics, layers
- ``accuracy``: points drawn from a map, scores, comparisons, change
- ``places``: country files, tiles, searches, fetching
- ``models``: the ``models`` commands
- ``viewing``: maps in a browser
- ``warm``: what runs would compile, compiled beforehand
"""
