"""Pictures: maps side by side with scale bar and graticule, and charts of scores.

Others use ``maps``, ``charts`` and, for true color, ``tones``.
"""
