"""The way back to OpenStreetMap: what mappers are asked to look at.

What others may use:

- ``objects``: ``review_objects``: objects whose class a sure model holds for another
- ``places``: ``review_places``: unmapped land that would teach the model most
- ``tasks``: ``write_tasks``: both as GeoJSON, with links into the editors
"""
