"""Downloads into the user's cache, by torchvision, such that a good file is never replaced by a bad one.

The mirrors, the checksums of the archives and the transfer itself are torchvision's. What is added here: a download
fails within seconds where there is no network, and reaches its final name only complete, read and checked.
"""

from __future__ import annotations

import http.client
import os
import socket
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path

from .sources import FILES, OMNIGLOT_ZIPS, DataError, find, read_grey, read_omniglot, require_all

TIMEOUT = 8.0  # seconds that a server may take to answer, or to send the next bytes, before the download has failed


class Unavailable(DataError):
    """The data set cannot be had over the network: none there, a broken transfer, or offline was asked for."""


def cache_folder() -> Path:
    """Folder of downloaded data: ``$XDG_CACHE_HOME/kpp``, else ``~/.cache/kpp``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kpp"


def download(name: str, cache: Path) -> None:
    """Download data set ``name`` (``"mnist"``, ``"fashion_mnist"``, ``"omniglot"``) below ``cache``, laid out as
    torchvision does.

    The files arrive in a temporary folder inside ``cache``, are read and checked there, and are then moved in one step
    each (``os.replace``): whatever breaks, a good file stays as it was and no half file gets a final name. Raises
    Unavailable with the reason; after about ``TIMEOUT`` seconds where no server answers.
    """
    before = socket.getdefaulttimeout()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as part:
            socket.setdefaulttimeout(TIMEOUT)
            _transfer(name, part)
            _check(Path(part), name)
            _move(Path(part), name, cache)
    except (
        OSError,
        RuntimeError,
        http.client.HTTPException,
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        DataError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__  # torchvision's messages have several lines
        raise Unavailable(f"the download of {name} failed: {reason}") from error
    finally:
        socket.setdefaulttimeout(before)


def _transfer(name: str, root: str) -> None:
    from torchvision import datasets  # here, not above: slow to import and needed only for a download

    kind = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST, "omniglot": datasets.Omniglot}[name]
    addresses = getattr(kind, "mirrors", None) or [getattr(kind, "download_url_prefix", None)]
    if all(addresses):
        _wait_for_answer(addresses)
    for first in (True, False):
        kind(root=root, download=True, **{"background" if name == "omniglot" else "train": first})


def _wait_for_answer(addresses: list[str]) -> None:
    # A socket timeout covers neither the look-up of a name nor a server's many addresses; one clock over it all does.
    answered, failures = threading.Event(), []

    def ask(address: str) -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=TIMEOUT).close()
        except urllib.error.HTTPError:
            pass  # "forbidden" or "not found" for the bare folder is an answer all the same
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)
            if len(failures) < len(addresses):
                return  # another mirror may still answer
        answered.set()

    for address in addresses:
        threading.Thread(target=ask, args=(address,), daemon=True).start()
    if not answered.wait(TIMEOUT) or len(failures) == len(addresses):
        raise OSError(f"no answer from {addresses[0]} ({failures[0] if failures else f'waited {TIMEOUT:g} s'})")


def _check(root: Path, name: str) -> None:
    require_all(root, name)
    if name == "omniglot":
        read_omniglot(root)
    else:
        for split in ("train", "test"):
            read_grey(root, name, split)


def _move(part: Path, name: str, cache: Path) -> None:
    for file in OMNIGLOT_ZIPS if name == "omniglot" else FILES.values():
        source = find(part, name, file)
        target = cache / source.relative_to(part)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
