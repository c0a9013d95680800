"""A folder that nodes share, on a server that speaks the S3 protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from programs import free_port
from s3 import SECRET, s3_folder, s3_server

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.shared_folder import SharedFolder, _opened
from fmnist_sweep.engines.opening import check_engine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """Where the server is."""
    with s3_server() as found:
        yield found


@pytest.fixture(autouse=True)
def environment(host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a user of such a store has in the environment."""
    for name, value in {
        "ENDPOINT_URL": f"http://{host}",
        "ACCESS_KEY_ID": "me",
        "SECRET_ACCESS_KEY": SECRET,
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    _opened.cache_clear()
    yield
    _opened.cache_clear()


@pytest.mark.parametrize("in_address", [False, True])
def test_an_object_store_is_a_folder_as_any_other(host: str, *, in_address: bool) -> None:
    """Whether its address says where it is, or the environment."""
    url = s3_folder(host, "my folder") if in_address else "s3://bucket/your folder"
    folder = SharedFolder(url, "ab12/my study")
    assert folder.trouble() == ""
    assert folder.read("x") is None
    assert folder.sizes() == {}
    folder.write("x", b"first")
    folder.write("x", b"second")
    folder.write("y", b"")
    assert folder.rename("x", "y")
    assert not folder.rename("x", "y")
    assert folder.read("y") == b"second"
    folder.write("z", b"1")
    for _ in range(2):
        folder.remove("y")
    assert folder.sizes() == {"z": 1}
    for _ in range(2):
        folder.remove_all()
    assert folder.sizes() == {}


def refusal(url: str) -> str:
    """Return what is said of a store that can't be used, which shows no key."""
    with pytest.raises(ConfigError) as error:
        check_engine("ray", None, url)
    said = str(error.value)
    assert SECRET not in said
    assert "engine.checkpoint_storage: s3://***@" in said
    return said


def test_what_is_wrong_is_told_with_what_mends_it(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a cluster is looked for: no such bucket, no server there, keys that it does not know."""
    said = refusal(s3_folder(host, "x", bucket="other"))
    assert "NO_SUCH_BUCKET: The specified bucket does not exist; make the bucket, or name another" in said
    said = refusal(s3_folder(f"127.0.0.1:{free_port()}", "x"))
    assert "Could not connect to server; AWS_ENDPOINT_URL=" in said
    # From now on the server asks who one is.
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
    said = refusal(s3_folder(host, "x"))
    assert "INVALID_ACCESS_KEY_ID: " in said
    assert "AWS_SECRET_ACCESS_KEY" in said
