"""Imagery and labels as stratified, spatially split sample sets."""
