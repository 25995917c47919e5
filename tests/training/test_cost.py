"""Estimates of how long trainings take: operations as the layers have them, times by the device."""

import warnings
from typing import Any

import pytest

from osm4eo_xr.errors import InputWarning
from osm4eo_xr.networks.layers import layers_of
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.training import cost
from osm4eo_xr.training.cost import (
    device_name,
    fitting_preset,
    operations_per_pixel,
    operations_per_second,
    training_seconds,
    warn_if_long,
)
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.settings import TrainSettings
from tests.cases.train_case import TINY, small_samples


def products(net: NetSettings) -> float:
    """Return twice the multiplications of the convolutions, per pixel."""
    layers, total, cells, inputs = layers_of(net), 0.0, 1.0, net.width
    total += cells * layers.stem.kernel**2 * net.bands * net.width
    for stage in layers.stages:
        cells /= stage.stride**2
        for block in stage.blocks:
            channels = inputs
            for layer in block.main:
                total += cells * layer.kernel**2 * channels * layer.features
                channels = layer.features
            if block.shortcut:
                total += cells * inputs * block.shortcut.features
            inputs = channels
        if stage.lateral:
            total += cells * inputs * stage.lateral.features
        if stage.smooth:
            total += cells * stage.smooth.kernel**2 * net.decoder * stage.smooth.features
    return 2 * net.members * (total + net.decoder * net.classes)


@pytest.mark.parametrize("name", TrainSettings.PRESETS.names)
def test_operations_are_those_of_the_layers(name: str) -> None:
    net = TrainSettings.preset(name).net(bands=10, classes=12)
    # Edges have fewer neighbors; sums, normalizations and rectifiers come on top.
    assert operations_per_pixel(net) == pytest.approx(products(net), rel=0.1)


def test_a_group_more_is_an_encoder_more() -> None:
    shape: Any = {"depth": 11, "width": 4, "kernel": 3, "decoder": 4}  # the encoder counts most
    settings = TrainSettings(network="coupled", **shape)
    features = tuple(f"s2:{band}@{k}" for k in range(3) for band in ("red", "nir"))
    two, three = (settings.net(bands=n, classes=3, features=features[:n]) for n in (4, 6))
    plain = operations_per_pixel(TrainSettings(**shape).net(bands=2, classes=3))
    assert 1.5 * plain < operations_per_pixel(two) < operations_per_pixel(three)


def test_time_goes_with_operations_and_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert operations_per_second() > 1e8
    monkeypatch.setattr(cost, "operations_per_second", lambda: 1e9)
    net = TrainSettings.preset("small").net(bands=4, classes=5)
    expected = 3 * operations_per_pixel(net) * 1e6 / 0.4e9
    assert training_seconds(net, 1e6) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("times", "fits"),
    [
        ({"default": 3000.0, "small": 60.0, "large": 90_000.0}, "default"),
        ({"default": 3000.0, "small": 60.0, "large": 7200.0}, "large"),
        ({"default": 9000.0, "small": 8000.0, "large": 90_000.0}, "small"),
    ],
)
def test_the_preset_that_fits_is_the_longest_within_two_hours(
    times: dict[str, float], fits: str
) -> None:
    assert fitting_preset(times) == fits


def test_a_long_training_is_told_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    net = TrainSettings.preset("small").net(bands=4, classes=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        warn_if_long(net, 1e7)
    monkeypatch.setattr(cost, "operations_per_second", lambda: 1e3)
    monkeypatch.setattr(cost, "_SOON", 0)

    def told(_status: Any) -> None:
        raise AssertionError("a step was taken")

    said = rf"takes about .* hours on {device_name()}: a smaller preset"
    with (
        pytest.warns(InputWarning, match=said),
        pytest.raises(AssertionError, match="a step was taken"),
    ):
        train(small_samples(), TINY, on_status=told)
