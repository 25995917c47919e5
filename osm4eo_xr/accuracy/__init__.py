"""Scores of maps and models."""
