"""A trained model as a folder, its record, and models of other systems."""
