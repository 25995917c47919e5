"""One step of training and of evaluation, on arrays alone.

What others may use:

- ``task``: ``Task``: what a network is trained for
- ``train_step``: a batch to the next state
- ``gradient``: the gradient of a batch's loss, from jax or from the package's own kernels
- ``eval_step``: images to logits, or to what the last layer sees
- ``data_parallel``: a step on several devices
- ``losses``: losses per pixel, unreduced
- ``rate_search``: a learning rate, from a few steps beforehand
- ``self_labels``: labels that a network gives to unlabeled pixels itself
"""
