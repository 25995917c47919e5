"""The ``osm4eo-xr`` command: parse, call, print.

What others may use:

- ``app``: ``app`` and ``main``: the command, the options before every command, ``demo``, ``run``
  and ``doctor``
- ``commands``: all others, a module per group
- ``computing``: ``Place``, where commands compute; ``ComputingCommand``, which computes there
- ``options``: options that several commands share
- ``setting_options``: a settings class as options of a command
- ``console``: tables, bars and the one line of an error
"""
