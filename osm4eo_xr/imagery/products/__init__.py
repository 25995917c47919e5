"""Products as their makers deliver them: what metadata in and around them say of their bands.

What others may use:

- ``safe``: ``read_product``, ``safe_bands``, ``class_band``: SAFE folders and zips
- ``band_files``: ``read_bands_of``, ``bands_of_file``, ``choose_bands``: files to described bands
- ``origins``: ``settle_numbers``, ``level_of``: what lies around loose band files
"""
