"""A map in a browser: one static folder that needs neither a network nor a server.

Others use ``overlays`` (what is shown), ``folder`` (the folder, or one page that holds all) and
``serving`` (the loopback address). ``static/`` holds the page and MapLibre GL JS 4.7.1, which is
BSD-3-Clause; its license lies beside it.
"""
