"""The pieces of a country run: what each is made from, and how it is made.

What others may use:

- ``learning``: composites, radiometry, labels, samples, the model
- ``map_pieces``: classified tiles, mosaics, sieved map, provenance
- ``layer_pieces``: what is taken out of the final map: layers, polygons, class shares
- ``scores``: wrong labels and accuracy
- ``map_files``: ``write_map``: how maps of maps are written
- ``making``: ``make_all``, ``make_tiles``, ``make_piece``: pieces made and entered into the ledger
"""
