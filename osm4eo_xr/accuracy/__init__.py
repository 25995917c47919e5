"""Scores of maps and models.

What others may use:

- ``assessment``: ``assess``: a class map against points of a design, or any reference
- ``designs``: sampling designs: points, strata, interpreters' sheets
- ``lucas``: ``read_lucas``: the survey's points as a design
- ``change``: ``detect_change``: what changed between the maps of two years
- ``validation``: ``crossvalidate``: blocks and folds that a training had not seen
- ``sampling``: designs of probability samples: totals and their variances
- ``estimators``: ratios of totals from such samples, standard errors, intervals
- ``figures``: accuracies and areas with intervals, from a sample
- ``assisted``: areas of single layers with the help of the map's probabilities
- ``design_report``: ``DesignReport``: all that a design says about a map
- ``map_comparison``: ``compare``: two maps of the same ground
- ``crosswalk``: which classes of other products mean the same ground
- ``confusion``: ``confusion_counts``: pairs of classes, which add up
- ``accuracy_report``: ``AccuracyReport``: scores from confusion counts
- ``held_out``: ``evaluate``, ``estimate_label_noise``: a model and its labels on held-out samples
- ``random_forest``: ``random_forest_report``: a forest on single pixels' spectra to compare with
- ``reference_pairs``: pairs of reference and map class, from points or from a label raster
"""
