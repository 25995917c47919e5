"""Models that travel: a static STAC catalog of them, into which they are put and taken from.

A catalog is a folder that any web server can give: ``catalog.json``, and for each model a folder
with its files, a STAC item that describes them (Machine Learning Model extension 1.5.2) and a card
for people. The item is the one record of the facts: listing, checks and card are made from it.
Nothing is unpacked and nothing is unpickled: files are JSON, safetensors and Markdown.

What others may use:

- ``push``: ``push_model``; ``pull``: ``pull_model``
- ``entries``: ``ModelEntry``: what an item says of a model, checked
- ``listing``: ``read_model_catalog``
- ``model_names``: ``country_model``: what the model of a country is called
"""
