from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.data import fashion_mnist, idx
from fmnist_sweep.data.fashion_mnist import FILES, find_fashion_mnist
from fmnist_sweep.data.fetch import Fetcher, FetchError
from fmnist_sweep.data.idx import IdxFile, map_idx

Files = tuple[IdxFile, ...]
Write = Callable[..., Path]

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "fmnist-sweep" / "fashion-mnist"


@pytest.fixture
def keras(tmp_path: Path) -> Path:
    return tmp_path / "keras" / "datasets" / "fashion-mnist"


def no_fetch(_: Path) -> Path:
    pytest.fail("fetched although the data set is on this machine")


OFFLINE = (Fetcher("a fetcher", no_fetch),)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_the_table_states_the_published_sizes() -> None:
    """Shapes of the table give the sizes of the published uncompressed files."""
    assert [file.n_bytes for file in FILES] == [47_040_016, 60_008, 7_840_016, 10_008]


def test_plain_files_of_a_data_dir_are_used_in_place(tmp_path: Path, files: Files, write: Write) -> None:
    """Verified plain files of ``--data-dir`` are mapped where they lie, and nothing is copied."""
    folder = write(tmp_path / "mine")
    data = find_fashion_mnist(folder, files=files, fetchers=OFFLINE)
    assert data.directory == str(folder)
    assert not (tmp_path / "cache").exists()
    assert (data.name, data.input_shape, data.n_train, data.n_classes) == ("fashion-mnist", (4, 4, 1), 40, 10)


def test_the_environment_names_a_data_dir(
    tmp_path: Path, files: Files, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``FMNIST_DATA_DIR`` works as ``--data-dir`` does, and an error says that it comes from there."""
    monkeypatch.setenv("FMNIST_DATA_DIR", str(tmp_path / "mine"))
    write(tmp_path / "keras" / "datasets" / "fashion-mnist")
    with pytest.raises(DataError, match=r"mine.*from FMNIST_DATA_DIR"):
        find_fashion_mnist(files=files, fetchers=OFFLINE)
    write(tmp_path / "mine")
    assert find_fashion_mnist(files=files, fetchers=OFFLINE).directory == str(tmp_path / "mine")


def test_an_option_beats_the_environment(
    tmp_path: Path, files: Files, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--data-dir`` is taken where both are given."""
    monkeypatch.setenv("FMNIST_DATA_DIR", str(tmp_path / "nowhere"))
    folder = write(tmp_path / "mine")
    assert find_fashion_mnist(folder, files=files, fetchers=OFFLINE).directory == str(folder)


def test_gzipped_files_are_unpacked_into_the_cache(
    tmp_path: Path, cache: Path, files: Files, write: Write, contents: dict[str, bytes]
) -> None:
    """The cache receives the uncompressed content under the final names, and nothing else."""
    folder = write(tmp_path / "mine", compress=True)
    data = find_fashion_mnist(folder, files=files, fetchers=OFFLINE)
    assert data.directory == str(cache)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == contents


@pytest.mark.parametrize("place", ["cache", "keras", "system"])
@pytest.mark.parametrize("compress", [False, True])
def test_the_usual_places_are_looked_in(
    place: str, compress: bool, tmp_path: Path, files: Files, write: Write
) -> None:
    """The user's cache, Keras's cache and the system's folder are found, plain or gzipped."""
    folders = {
        "cache": "cache/fmnist-sweep/fashion-mnist",
        "keras": "keras/datasets/fashion-mnist",
        "system": "system",
    }
    folder = write(tmp_path / folders[place], compress=compress)
    data = find_fashion_mnist(files=files, fetchers=OFFLINE)
    assert data.directory == str(tmp_path / folders["cache"] if compress else folder)


def test_the_digest_does_not_depend_on_the_place(
    tmp_path: Path, keras: Path, files: Files, write: Write
) -> None:
    """The same content has the same digest wherever it was found and however it was compressed."""
    mine = find_fashion_mnist(write(tmp_path / "mine"), files=files, fetchers=OFFLINE)
    write(keras, compress=True)
    assert find_fashion_mnist(files=files, fetchers=OFFLINE).digest == mine.digest


def test_half_the_files_are_all_named(tmp_path: Path, files: Files, write: Write) -> None:
    """Every missing file of a data dir is named at once, and no other place is looked in."""
    folder = write(tmp_path / "mine")
    write(tmp_path / "keras" / "datasets" / "fashion-mnist")
    (folder / TRAIN_LABELS).unlink()
    (folder / TEST_LABELS).unlink()
    with pytest.raises(DataError) as caught:
        find_fashion_mnist(folder, files=files, fetchers=OFFLINE)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [TRAIN_LABELS, TEST_LABELS]


def test_missing_and_damaged_files_are_told_together(tmp_path: Path, files: Files, write: Write) -> None:
    """A missing file does not hide that another one is damaged."""
    folder = write(tmp_path / "mine")
    (folder / TRAIN_LABELS).unlink()
    (folder / TEST_LABELS).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        find_fashion_mnist(folder, files=files, fetchers=OFFLINE)
    first, second = caught.value.problems
    assert "missing" in first
    assert "empty" in second


@pytest.mark.parametrize("kind", ["nothing", "a file"])
def test_a_data_dir_must_be_a_folder(kind: str, tmp_path: Path, files: Files) -> None:
    """A data dir that does not exist or is a file is an error that names the files it should hold."""
    path = tmp_path / "mine"
    if kind == "a file":
        path.write_text("no folder")
    with pytest.raises(DataError, match=TEST_LABELS):
        find_fashion_mnist(path, files=files, fetchers=OFFLINE)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def lengthened(content: bytes) -> bytes:
    return content + b"\0"


def digits(content: bytes) -> bytes:
    return content[:16] + bytes(255 - byte for byte in content[16:])


def other_magic(content: bytes) -> bytes:
    return struct.pack(">I", 0x802) + content[4:]


def other_shape(content: bytes) -> bytes:
    return content[:4] + struct.pack(">I", 10) + content[8:]


def gzip_cut_off(content: bytes) -> bytes:
    return gzip.compress(content)[:-20]


def gzip_damaged(content: bytes) -> bytes:
    compressed = bytearray(gzip.compress(content))
    compressed[len(compressed) // 2] ^= 0xFF
    return bytes(compressed)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (truncated, r"ends after \d+ of 656 bytes"),
        (lengthened, "longer than its 656 bytes"),
        (digits, "right size and shape but another content"),
        (other_magic, "magic number 0x00000802, not 0x00000803"),
        (other_shape, r"shape \(10, 4, 4\), not \(40, 4, 4\)"),
        (gzip_cut_off, "break off"),
        (gzip_damaged, "damaged|another content"),
        (lambda _: b"<!DOCTYPE html>", "magic number"),
        (lambda _: b"\0\0", "magic number"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_damage_is_told_with_the_file_and_what_was_found(
    *,
    damage: Callable[[bytes], bytes],
    told: str,
    suffix: str,
    tmp_path: Path,
    cache: Path,
    files: Files,
    write: Write,
    contents: dict[str, bytes],
) -> None:
    """Each kind of damage is an error naming file and finding, and nothing gets into the cache."""
    folder = write(tmp_path / "mine", compress=suffix == ".gz")
    (folder / f"{TRAIN_IMAGES}{suffix}").write_bytes(damage(contents[TRAIN_IMAGES]))
    with pytest.raises(DataError, match=told) as caught:
        find_fashion_mnist(folder, files=files, fetchers=OFFLINE)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{TRAIN_IMAGES}{suffix}: ")
    assert names(cache) == set()


def test_a_compressed_flood_is_not_unpacked(
    tmp_path: Path, files: Files, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading stops soon after the expected size, however much a gzip file unpacks to."""
    monkeypatch.setattr(idx, "_CHUNK", 1024)
    folder = write(tmp_path / "mine", compress=True)
    head = struct.pack(">4I", 0x803, 40, 4, 4)
    (folder / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(head + bytes(50_000_000)))
    read = 0

    class Sink:
        def write(self, chunk: bytes) -> int:
            nonlocal read
            read += len(chunk)
            return len(chunk)

    problem = idx.file_problem(files[0], folder / f"{TRAIN_IMAGES}.gz", copy_to=Sink())  # type: ignore[arg-type]
    assert problem is not None
    assert "longer" in problem
    assert read <= files[0].n_bytes


def test_swapped_files_are_told_apart(tmp_path: Path, files: Files, write: Write) -> None:
    """Test labels under the name of the training labels are refused for their shape."""
    folder = write(tmp_path / "mine")
    (folder / TRAIN_LABELS).write_bytes((folder / TEST_LABELS).read_bytes())
    with pytest.raises(DataError, match=r"shape \(20,\), not \(40,\)"):
        find_fashion_mnist(folder, files=files, fetchers=OFFLINE)


@pytest.mark.parametrize("mistake", ["plain as .gz", "gzipped without .gz"])
def test_names_and_compression_may_disagree(
    *, mistake: str, tmp_path: Path, cache: Path, files: Files, write: Write, contents: dict[str, bytes]
) -> None:
    """A ``.gz`` that a browser unpacked and a gzip file without suffix are taken for what they are."""
    folder = write(tmp_path / "mine")
    if mistake == "plain as .gz":
        (folder / TRAIN_IMAGES).rename(folder / f"{TRAIN_IMAGES}.gz")
    else:
        (folder / TRAIN_IMAGES).write_bytes(gzip.compress(contents[TRAIN_IMAGES]))
    assert find_fashion_mnist(folder, files=files, fetchers=OFFLINE).directory == str(cache)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == contents


def test_a_damaged_place_is_told_and_passed_over(
    keras: Path, cache: Path, files: Files, write: Write, tmp_path: Path
) -> None:
    """Damage in Keras's cache is told, and the next place is used."""
    write(keras, compress=True)
    (keras / f"{TEST_LABELS}.gz").write_bytes(b"damaged")
    write(tmp_path / "system")
    said: list[str] = []
    data = find_fashion_mnist(files=files, fetchers=OFFLINE, say=said.append)
    assert data.directory == str(tmp_path / "system")
    assert any(str(keras) in line and TEST_LABELS in line for line in said)
    assert names(cache) == set()


def test_a_damaged_cache_is_replaced(
    keras: Path, cache: Path, files: Files, write: Write, contents: dict[str, bytes]
) -> None:
    """A file of the cache that rotted is told and replaced from the next place that has it."""
    write(cache)
    (cache / TRAIN_IMAGES).write_bytes(digits(contents[TRAIN_IMAGES]))
    write(keras, compress=True)
    said: list[str] = []
    assert find_fashion_mnist(files=files, fetchers=OFFLINE, say=said.append).directory == str(cache)
    assert (cache / TRAIN_IMAGES).read_bytes() == contents[TRAIN_IMAGES]
    assert len(said) == 1


def test_a_mapped_file_survives_its_replacement(
    keras: Path, cache: Path, files: Files, write: Write, contents: dict[str, bytes]
) -> None:
    """A file is replaced, never rewritten: who has the old one mapped keeps its content."""
    write(cache)
    damaged = digits(contents[TRAIN_IMAGES])
    (cache / TRAIN_IMAGES).write_bytes(damaged)
    mapped = map_idx(cache / TRAIN_IMAGES)
    write(keras, compress=True)
    find_fashion_mnist(files=files, fetchers=OFFLINE)
    assert (cache / TRAIN_IMAGES).read_bytes() == contents[TRAIN_IMAGES]
    assert mapped.tobytes() == damaged[16:]


def test_fetchers_are_tried_in_order(cache: Path, files: Files, write: Write) -> None:
    """Where one way of fetching fails the next one is tried, and its files land in the cache."""

    def broken(_: Path) -> Path:
        raise FetchError("no network")

    fetchers = (Fetcher("the first", broken), Fetcher("the second", lambda work: write(work, compress=True)))
    said: list[str] = []
    assert find_fashion_mnist(files=files, fetchers=fetchers, say=said.append).directory == str(cache)
    assert names(cache) == {file.name for file in files}
    assert any("the first" in line and "no network" in line for line in said)


def test_fetched_plain_files_are_kept(cache: Path, files: Files, write: Write) -> None:
    """What a fetcher leaves uncompressed is copied: its folder is thrown away."""
    data = find_fashion_mnist(files=files, fetchers=(Fetcher("a fetcher", write),))
    assert data.directory == str(cache)
    assert names(cache) == {file.name for file in files}


def test_failure_tells_all_that_was_tried(keras: Path, cache: Path, files: Files, write: Write) -> None:
    """Where nothing works the error names each place, each way with its reason, and the way out."""

    def broken(_: Path) -> Path:
        raise FetchError("no network")

    def half(work: Path) -> Path:
        folder = write(work, compress=True)
        (folder / f"{TEST_LABELS}.gz").unlink()
        return folder

    fetchers = (Fetcher("the first", broken), Fetcher("the second", half))
    with pytest.raises(DataError) as caught:
        find_fashion_mnist(files=files, fetchers=fetchers)
    message = str(caught.value)
    for part in (str(keras), str(cache), "--data-dir", "the first", "no network", "the second", TEST_LABELS):
        assert part in message
    assert names(cache) == set()


def test_downloads_can_be_forbidden(files: Files) -> None:
    """Without ``download`` no fetcher is called."""
    with pytest.raises(DataError, match="--data-dir"):
        find_fashion_mnist(download=False, files=files, fetchers=OFFLINE)


def test_an_interrupted_fetch_leaves_no_final_name(cache: Path, files: Files, write: Write) -> None:
    """Truncated downloads and Ctrl-C in a download leave the cache as it was."""

    def cut_off(work: Path) -> Path:
        folder = write(work, compress=True)
        path = folder / f"{TEST_LABELS}.gz"
        path.write_bytes(path.read_bytes()[:-12])
        return folder

    def interrupted(work: Path) -> Path:
        write(work, compress=True)
        raise KeyboardInterrupt

    with pytest.raises(DataError, match="break off"):
        find_fashion_mnist(files=files, fetchers=(Fetcher("a fetcher", cut_off),))
    assert names(cache) == set()
    with pytest.raises(KeyboardInterrupt):
        find_fashion_mnist(files=files, fetchers=(Fetcher("a fetcher", interrupted),))
    assert names(cache) == set()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_unpacking_leaves_no_final_name(
    *,
    error: BaseException | type[BaseException],
    keras: Path,
    cache: Path,
    files: Files,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C or a full disk at the last of four files leaves not even the first three in the cache."""
    real = idx.file_problem

    def stop_at_the_last(file: IdxFile, path: Path, **options: object) -> str | None:
        if file == files[-1]:
            raise error
        return real(file, path, **options)  # type: ignore[arg-type]

    write(keras, compress=True)
    monkeypatch.setattr(idx, "file_problem", stop_at_the_last)
    with pytest.raises((KeyboardInterrupt, DataError)) as caught:
        find_fashion_mnist(files=files, fetchers=OFFLINE)
    assert caught.type is KeyboardInterrupt or "No space left" in str(caught.value)
    assert names(cache) == set()


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, files: Files, write: Write) -> None:
    """A file where the cache folder should be is an error that says how to choose another cache."""
    (tmp_path / "cache").write_text("in the way")
    folder = write(tmp_path / "mine", compress=True)
    with pytest.raises(DataError, match="XDG_CACHE_HOME"):
        find_fashion_mnist(folder, files=files, fetchers=OFFLINE)


def test_an_unreadable_file_is_told(
    tmp_path: Path, files: Files, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that may not be read is an error that says so."""

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    folder = write(tmp_path / "mine")
    monkeypatch.setattr(idx, "_is_gzipped", refuse)  # root may read everything, so chmod would not do
    with pytest.raises(DataError, match=f"{TRAIN_LABELS}: can't be read: Permission denied"):
        find_fashion_mnist(folder, files=files, fetchers=OFFLINE)


def test_mapping_gives_the_array(cache: Path, write: Write, contents: dict[str, bytes]) -> None:
    """A mapped idx file is a read-only array of the stated shape that was not copied into memory."""
    write(cache)
    images = map_idx(cache / TRAIN_IMAGES)
    assert isinstance(images, np.memmap)
    assert images.shape == (40, 4, 4)
    assert images.tobytes() == contents[TRAIN_IMAGES][16:]
    assert not images.flags.writeable
    assert map_idx(cache / TEST_LABELS).tolist() == [n % 10 for n in range(20)]


def test_mapping_refuses_other_files(tmp_path: Path) -> None:
    """A file that is no idx file is refused, not read as noise."""
    path = tmp_path / "page.html"
    path.write_text("<!DOCTYPE html>")
    with pytest.raises(ValueError, match="no idx file"):
        map_idx(path)


def test_ten_classes_are_named() -> None:
    """Class names stand in the order of the labels."""
    assert len(fashion_mnist.CLASS_NAMES) == 10
    assert fashion_mnist.CLASS_NAMES[9] == "Ankle boot"
