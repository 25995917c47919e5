"""Nobody else gets into a cluster: another user is refused, and finds no key."""

import os
import stat
from pathlib import Path

import pytest

from osm4eo_xr import InputError, open_cluster
from osm4eo_xr.cluster.security import dashboard_address, security_of, shared_security
from osm4eo_xr.cluster.site import LocalSite
from osm4eo_xr.cluster.site_file import load_site
from tests.cases.intruder import try_to_enter

as_root = pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which takes root")

ONE = {"gpu": None, "cpu": {"processes": 1, "threads": 1}, "environment": {"JAX_PLATFORMS": "cpu"}}


@as_root
def test_another_user_is_refused_by_a_local_cluster() -> None:
    with open_cluster("local", **ONE) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        got = try_to_enter(client)
    assert len(got) == 6  # scheduler, worker and nanny, without TLS and with another key
    assert all(answer.startswith("refused") for answer in got.values()), got


@as_root
def test_without_tls_another_user_walks_in_and_a_line_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_cluster("local", tls=False, **ONE) as client:
        got = try_to_enter(client)
    assert got["tcp 0"] == "entered: Scheduler"
    error = " ".join(capsys.readouterr().err.split())
    assert "open to every user who reaches its ports" in error
    assert "set tls: true" in error


def test_ports_of_a_local_cluster_listen_on_loopback_alone() -> None:
    import psutil

    with open_cluster("local", **ONE) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        me = psutil.Process()
        listening = {
            c.laddr.ip
            for p in (me, *me.children(recursive=True))
            for c in p.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN
        }
        assert workers
    assert listening <= {"127.0.0.1", "::1"}


def test_a_dashboard_for_others_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard_address(load_site("local")) == "127.0.0.1:0"
    assert dashboard_address(load_site("local", dashboard=":8787")) == "127.0.0.1:8787"
    assert not capsys.readouterr().err
    assert dashboard_address(load_site("local", dashboard="0.0.0.0:8787")) == "0.0.0.0:8787"
    assert "can read the dashboard on port 8787" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match="dashboard: 'here'; give HOST:PORT or :PORT"):
        load_site("local", dashboard="here")


def test_the_key_is_the_owners_alone_and_goes(tmp_path: Path) -> None:
    with shared_security(LocalSite(name="local"), tmp_path) as security:
        assert security is not None
        assert security.require_encryption
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}
    assert not list(tmp_path.iterdir())


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with pytest.raises(InputError, match="is open to other users .*mode 750"):
        security_of(tmp_path)
