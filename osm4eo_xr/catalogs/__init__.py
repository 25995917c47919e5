"""STAC items as lazy cubes of reflectance.

What others may use:

- ``stac``: ``stack_items``, ``stack_classes``, ``composite_items``: STAC items to lazy cubes
- ``search``: ``search_items``, ``Query``: items of a place and period from a STAC API
- ``assets``: assets of items as pixels on a grid
- ``asset_looks``: ``check_items``: a look at the pixels of assets before work
- ``acquisitions``, ``footprints``: when and where items are, which of them count once
- ``items``: ``read_items``: items of a file, and what each says of its assets
"""
