"""``python -m osm4eo_xr`` is the same as the ``osm4eo-xr`` command."""

from osm4eo_xr.cli.app import main

if __name__ == "__main__":
    main()
