"""What a finished country run shows of itself.

What others may use:

- ``items``: ``described_items``, ``describe_maps``: areas and accuracies in the maps' STAC items
- ``radiometry``: ``find_harmony``, ``harmony_parts``: how tiles were brought to one radiometry
- ``seams``: ``find_seams``, ``find_block_seam``, ``seam_parts``: whether tiles or blocks show
- ``review``: ``review_result``: what mappers are asked to look at; its piece, its part of the page
- ``trust``: ``find_trust``; its pieces, its part of the page: where the model applies
- ``page``: ``image``, ``folded``, ``table``: parts of the report's page
"""
