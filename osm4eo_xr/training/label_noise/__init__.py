"""Wrong labels: found by models that have not seen them, and what training does about them.

What others may use:

- ``estimate``: ``find_label_noise``, ``LabelNoise``: which objects are wrong, and how often classes
- ``objects``: ``name_objects``: which object of OpenStreetMap each label of a sample is from
- ``correction``: ``corrected``: samples and noise that training takes
"""
