"""A run on disk: its newest whole checkpoint, its history, and what it refuses."""

import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.training.checkpoints import RunFolder, digest_arrays

FACTS: dict[str, Any] = {"settings": {"depth": 11, "seed": 0}, "samples": "ab12"}
LIKE = {"kernel": jnp.zeros((2, 3), jnp.float32), "step": np.zeros((), np.int32)}


def state(step: int) -> dict[str, Any]:
    return {"kernel": jnp.full((2, 3), float(step)), "step": np.asarray(step, np.int32)}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run", FACTS)


def checkpoints(run: RunFolder) -> list[str]:
    return sorted(path.name for path in (run.path / "checkpoints").iterdir())


def test_a_new_run_has_nothing_to_restore(run: RunFolder) -> None:
    assert run.restore(LIKE) is None


def test_the_newest_checkpoint_is_restored_with_its_record(run: RunFolder) -> None:
    for step in (3, 20, 100):
        run.save(step, state(step), {"epoch": step, "scores": [0.5]})
    restored = RunFolder(run.path, FACTS).restore(LIKE)
    assert restored is not None
    arrays, record = restored
    assert record == {"epoch": 100, "scores": [0.5]}
    np.testing.assert_array_equal(arrays["kernel"], np.full((2, 3), 100.0, np.float32))
    assert isinstance(arrays["kernel"], jax.Array)
    assert arrays["kernel"].dtype == np.float32
    assert int(arrays["step"]) == 100


def test_two_checkpoints_are_kept_and_no_part_of_one(run: RunFolder) -> None:
    for step in range(1, 6):
        run.save(step, state(step), {})
    assert checkpoints(run) == ["000000004.msgpack", "000000005.msgpack"]


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "other"])
def test_of_a_damaged_checkpoint_the_one_before_is_taken_and_it_is_told(
    run: RunFolder, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    run.save(1, state(1), {"epoch": 1})
    run.save(2, state(2), {"epoch": 2})
    newest = run.path / "checkpoints" / "000000002.msgpack"
    whole = newest.read_bytes()
    if damage == "other":
        run.save(2, {"bias": jnp.zeros(3)}, {"epoch": 2})
    else:
        newest.write_bytes({"cut": whole[:-20], "empty": b"", "noise": b"\xc1" * 99}[damage])
    with caplog.at_level(logging.WARNING):
        restored = run.restore(LIKE)
    assert restored is not None
    assert restored[1] == {"epoch": 1}
    assert f"{newest} cannot be read, taking the one before" in caplog.text


def test_the_same_facts_open_a_run_again_whatever_sequences_they_hold(run: RunFolder) -> None:
    again = {**FACTS, "settings": {"seed": 0, "depth": 11}}
    assert RunFolder(run.path, again).path == run.path
    bands = RunFolder(run.path.with_name("bands"), {"bands": ("red", "nir")})
    RunFolder(bands.path, {"bands": ("red", "nir")})  # JSON knows lists only


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({**FACTS, "settings": {"depth": 20, "seed": 0}}, "a run with depth 11, not 20"),
        ({**FACTS, "settings": {"depth": 11}}, "a run with seed 0, not None"),
        ({**FACTS, "samples": "cd34"}, "a run with other samples"),
        ({**FACTS, "start": "ef56"}, "a run with other start"),
    ],
)
def test_the_run_of_other_facts_is_refused(run: RunFolder, facts: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"{message}; give another folder, or remove this one"):
        RunFolder(run.path, facts)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("thesis", "file"):
        with pytest.raises(InputError, match="exists and is not a training run"):
            RunFolder(tmp_path / name, FACTS)
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["a.txt"]
    (tmp_path / "empty" / ".run.json.part-node7-12-0a1b").mkdir(parents=True)  # of a killed one
    assert RunFolder(tmp_path / "empty", FACTS).restore(LIKE) is None


def test_the_history_has_a_column_for_what_only_some_epochs_have(run: RunFolder) -> None:
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "validation_loss": 0.4}]
    run.write_history(rows)
    for table in (
        pd.read_csv(run.path / "history.csv"),
        pd.read_parquet(run.path / "history.parquet"),
    ):
        assert list(table) == ["epoch", "loss", "validation_loss"]
        assert table["loss"].tolist() == [0.5, 0.25]
        assert table["validation_loss"].isna().tolist() == [True, False]


def test_a_digest_follows_contents_and_not_memory() -> None:
    a = np.arange(24.0).reshape(4, 6)
    assert digest_arrays(a) == digest_arrays(a[:2], a[2:]) == digest_arrays(a.T.copy().T)
    assert digest_arrays(a) != digest_arrays(a + 1)
    assert digest_arrays(a) != digest_arrays(a.T)
