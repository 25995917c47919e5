"""What a finished country run shows of itself.

What others may use:

- ``seams``: ``find_seams``, ``seam_parts``: whether tiles show in the final map
- ``review``: ``review_result``: what mappers are asked to look at; its piece, its part of the page
- ``page``: ``image``, ``folded``, ``table``: parts of the report's page
"""
