"""One country run from one file.

What others may use:

- ``run``: ``plan_country``, ``run_country``: what a country file asks for, planned or made
- ``settings``: ``CountrySettings``: what a country file may say
- ``settings_file``: ``read_country``: a file's settings, checked key by key
- ``context``: ``CountryRun``, ``Piece``: what all pieces of a run share
- ``ledger``: ``Ledger``: which piece was made from what
- ``plan``: ``Plan``: what a run would do
- ``report``: ``report.json`` and ``report.html``
"""
