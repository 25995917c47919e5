"""A trained model as a folder, its record, and models of other systems.

What others may use:

- ``model``: ``Model``, ``load_model``, ``save_model``
- ``applicability``: ``Applicability``: where a model is to be trusted
- ``record``: ``Normalization``, and ``model.json`` as plain types
- ``catalog``: folders of models, and whether each is whole
- ``keras_import``: ``import_keras``: networks of the original system
- ``stac_mlm``: a model as an item of the STAC Machine Learning Model extension
"""
