"""Work done ahead: in order, in a thread, its errors left to the main path."""

from threading import Event, main_thread

from osm4eo_xr.process.background import do_ahead


def test_works_are_done_in_order_beside_the_main_path_whatever_one_of_them_meets() -> None:
    done, go = [], Event()

    def first() -> None:
        assert go.wait(30)
        done.append("first")

    def second() -> None:
        raise OSError("no room for what is compiled")

    ahead = do_ahead(first, second, lambda: done.append("third"))
    assert ahead is not main_thread()
    assert done == []
    go.set()
    ahead.join(30)
    assert done == ["first", "third"]
