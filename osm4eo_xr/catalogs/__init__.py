"""STAC items as lazy cubes of reflectance.

What others may use:

- ``stac``: ``stack_items``, ``stack_classes``, ``composite_items``: STAC items to lazy cubes
- ``search``: ``search_items``, ``Query``: items of a place and period from a STAC API
- ``assets``: assets of items as pixels on a grid
- ``asset_looks``: ``check_items``, ``leave_out_unreadable``: looks at assets before work
- ``engines``: stacks as stackstac lays them out, assets as odc-stac finds them
- ``item_form``: what items may hold
- ``acquisitions``, ``footprints``: when and where items are, which of them count once
- ``product_assets``: EOPF stores, groups and arrays as assets
- ``staging``, ``store_copies``: local copies of what a composite reads
- ``items``: ``read_items``: items of a file, and what each says of its assets
"""
