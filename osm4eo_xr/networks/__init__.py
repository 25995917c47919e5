"""What a network computes: arrays only.

What others may use:

- ``settings``: ``NetSettings``, ``EngineName``: the shape of the network
- ``layers``, ``grouped_layers``: the layers, stated once; all the others read them. Members of an
  ensemble are told apart here (``members_of``)
- ``footprint``: which input pixels an output pixel depends on
- ``resnet``: fresh variables, and logits of images, of whichever network
- ``presence``: which groups of channels are there
- ``fold_batch_norm``: batch normalization folded into the convolutions
- ``onnx_export``: the folded network as an ONNX graph
- ``gradients``: a folder: gradients of the plain network on CPUs
- ``winograd``: the folded dense network on kernels for CPUs; ``compile_kernels``
"""
