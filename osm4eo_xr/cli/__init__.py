"""The ``osm4eo-xr`` command: parse, call, print.

What others may use:

- ``app``: ``app`` and ``main``: the command, and the commands that make maps
- ``labels``: commands that prepare labels and composites
- ``training``: commands that draw samples and train
- ``accuracy``: commands that draw points from a map and say how good it is
- ``models``: the ``models`` commands
- ``options``: options that several commands share
- ``setting_options``: a settings class as options of a command
- ``console``: tables, bars and the one line of an error
"""
