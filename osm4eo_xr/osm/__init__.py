"""OpenStreetMap extracts as land-use areas, in bounded memory."""
