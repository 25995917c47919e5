"""Samples to a trained model.

What others may use:

- ``fit``: ``train``: samples to a model
- ``label_noise``: a folder: wrong labels, found and borne
- ``settings``: ``TrainSettings``: how it is trained
- ``step``: a folder: one step of training and of evaluation, and its losses
- ``calibration``: calibration error and temperature
- ``scoring``: logits and labels of a split, batch by batch
- ``checkpoints``: a run on disk, from which training resumes
"""
