"""A trained model as a folder, its record, and models of other systems.

What others may use:

- ``model``: ``Model``
- ``model_folder``: ``load_model``, ``save_model``; ``read_saved``: a record without its network
- ``applicability``: ``Applicability``: where a model is to be trusted
- ``record``: ``Normalization``, and ``model.json`` as plain types
- ``catalog``: folders of models, and whether each is whole
- ``exchange/``: catalogs of models: ``push_model``, ``pull_model``, ``read_model_catalog``
- ``keras_import``: ``import_keras``: networks of the original system
- ``stac_mlm``: a model as an item of the STAC Machine Learning Model extension
"""
