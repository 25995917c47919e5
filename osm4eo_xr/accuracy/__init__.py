"""Scores of maps and models.

What others may use:

- ``estimators``: ``AccuracyReport`` and ``assess``: confusion counts of a class map and scores
  from their sum
- ``held_out``: ``evaluate``: a model on the samples that were held out
- ``random_forest``: ``random_forest_report``: a forest on single pixels' spectra to compare with
- ``reference_pairs``: pairs of reference and map class, from points or from a label raster
"""
