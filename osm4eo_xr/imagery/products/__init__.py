"""Products as their makers deliver them: what metadata in and around them say of their bands.

What others may use:

- ``opening``: ``open_product`` (also ``open_safe``), ``open_product_classes``,
  ``open_cloud_probability``: products to lazy scenes and the layers beside them
- ``safe``, ``safe_files``: SAFE folders and zips
- ``eopf``: ``is_eopf``, ``read_eopf``, ``eopf_bands``, ``array_paths``: EOPF stores, zips and parts
- ``eopf_numbers``, ``angles``: what EOPF's numbers mean, where the sun stood
- ``band_files``: ``read_bands_of``, ``bands_of_file``, ``choose_bands``: files to described bands
- ``origins``: ``settle_numbers``, ``level_of``, ``told_around``: what lies around loose band files
"""
