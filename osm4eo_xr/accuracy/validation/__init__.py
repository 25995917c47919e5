"""Validation without points: what held-out blocks and folds say of a training.

What others may use:

- ``cross_validation``: ``crossvalidate``: the training repeated on folds of blocks or tiles
- ``ablation``: ``ablate``: what each group of features adds, on the same folds
- ``fold_report``: ``CrossValidation``: means over folds with intervals, and differences
- ``intervals``: block bootstrap, and intervals over folds
- ``training_points``: ``fit_applicability``: where a model is to be trusted
- ``dissimilarity``, ``conformal``: distances between points, and sets of classes; arrays only
- ``distances``: how far held-out and mapped ground is from the samples
"""
