"""Gradients of the plain network on CPUs: the engine "kernels" of training.

What others may use:

- ``network``: ``NetworkGradient``: logits under a batch's own statistics, then the gradient of the
  parameters; ``compile_gradients``

Below it, ``maps`` holds feature maps with their normalizations and gradients; ``pointwise``,
``windows`` and ``sums`` are kernels, ``rows`` what these do with rows of pixels, and ``products``
the matrix products.
"""
