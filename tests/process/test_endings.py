"""What is closed when a process is ended from outside."""

import pytest

from osm4eo_xr.process.endings import close_all, last_duty


def test_duties_end_newest_first_and_an_error_holds_up_none() -> None:
    done: list[str] = []

    def fails() -> None:
        done.append("fails")
        raise RuntimeError("the scheduler is gone")

    with last_duty(lambda: done.append("client")), last_duty(fails), last_duty(lambda: 0):
        with last_duty(lambda: done.append("over")):
            pass
        close_all()
        assert done == ["fails", "client"]
        close_all()  # a second signal finds nothing left
    assert done == ["fails", "client"]


def test_what_a_block_closes_itself_is_no_duty_afterwards() -> None:
    done: list[str] = []
    with pytest.raises(KeyError), last_duty(lambda: done.append("job")):
        raise KeyError
    close_all()
    assert done == []
