"""The command that compiles beforehand what runs would compile."""

from __future__ import annotations

import time

from osm4eo_xr.progress import OUT


def warm() -> None:
    """Compile beforehand what runs compile, so that the first is as quick as the next.

    For images and installations that many share: run it once as the user who may write them.
    """
    for name, work in (
        ("sieve", _sieve),
        ("overviews", _overviews),
        ("composites", _composites),
        ("training", _gradients),
        ("network", _classify),
    ):
        started = time.perf_counter()
        work()
        OUT.print(f"{name}: {time.perf_counter() - started:.1f} s", highlight=False)


def _sieve() -> None:
    from osm4eo_xr.sieving.lazy_sieve import compile_sieve

    compile_sieve()


def _overviews() -> None:
    from osm4eo_xr.cogs.levels import compile_overviews

    compile_overviews()


def _composites() -> None:
    """Compose a small cube in each of the ways."""
    import numpy as np

    from osm4eo_xr.imagery.composite_kernels import greenest, medians

    cube = np.ones((3, 2, 4, 4), np.float32)
    for pick in (True, False):
        medians(cube, pick)
    greenest(cube, 0, 1)


def _gradients() -> None:
    from osm4eo_xr.networks.gradients.network import compile_gradients

    compile_gradients()


def _classify() -> None:
    """Classify one full block with the network of the default settings and random weights.

    Scenes of some thousand pixels are cut into blocks of this size, and programs are kept by size.
    """
    import dask.array as da
    import jax

    from osm4eo_xr.geometry.grid import georeference, target_geobox
    from osm4eo_xr.imagery.bands import METHOD_BANDS
    from osm4eo_xr.inference.blocks import DENSE_BLOCK
    from osm4eo_xr.inference.prediction import classify
    from osm4eo_xr.legend import default_legend
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.models.record import Normalization
    from osm4eo_xr.networks import resnet
    from osm4eo_xr.training.settings import TrainSettings

    count, side = len(METHOD_BANDS), DENSE_BLOCK
    net = TrainSettings().net(bands=count, classes=len(default_legend().classes))
    scale = Normalization(center=(0.1,) * count, scale=(0.1,) * count)
    variables = resnet.init(net, jax.random.key(0))
    model = Model(net=net, variables=variables, bands=METHOD_BANDS, normalization=scale)
    pixels = da.full((count, side, side), 0.1, dtype="float32", chunks=(count, side, side))
    scene = georeference(
        pixels,
        target_geobox((0, 0, side * 10, side * 10)),
        dims=("band", "y", "x"),
        coords={"band": list(METHOD_BANDS)},
        attrs={"units": "1"},
    )
    classify(scene, model).compute()
