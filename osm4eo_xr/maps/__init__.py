"""Class maps as country maps, layers and polygons.

What others may use:

- ``country_mosaic``: ``mosaic``: tiles as one map of a country
- ``settings``: what a country file may say of maps
- ``boundary``: outlines that maps are clipped to
- ``layers``: ``extract_layer``, ``fraction``: classes of a map alone, and their share of cells
- ``polygons``: ``to_vector``: polygons that chunk borders do not cut
- ``seams``: ``seam_certificate``, ``block_seam``: whether tiles or blocks show in a map
- ``review``: a folder: what mappers are asked to look at
- ``known_ground``: ``merge_known``, ``provenance_of``, ``agreement``: OpenStreetMap beside the
  prediction
- ``known_rules``: who wins between the two, and ``noise_table``
"""
