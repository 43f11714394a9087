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

from .cifar import SHA1, read_cifar10
from .finding import walk
from .idx import FILES, read_grey
from .omniglot import SETS, read_omniglot
from .sources import DataError

ARCHIVES = tuple(f"images_{split}.zip" for split in SETS)
# Where torchvision puts what is kept.
LAYOUT = {
    "mnist": ("MNIST/raw", tuple(FILES.values())),
    "fashion_mnist": ("FashionMNIST/raw", tuple(FILES.values())),
    "omniglot": ("omniglot-py", ARCHIVES),
    "cifar10": ("cifar-10-batches-py", tuple(SHA1)),
}
TIMEOUT = 8.0  # seconds that a server may take to answer, or to send the next bytes, before the download has failed


class Unavailable(DataError):
    """The data set cannot be had over the network: none there, a broken transfer, or offline was asked for."""


def download(name: str, cache: Path) -> None:
    """Download data set ``name``, one of `LAYOUT`, below ``cache``, laid out as torchvision does.

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

    kinds = {
        "mnist": datasets.MNIST,
        "fashion_mnist": datasets.FashionMNIST,
        "omniglot": datasets.Omniglot,
        "cifar10": datasets.CIFAR10,
    }
    kind = kinds[name]
    addresses = getattr(kind, "mirrors", None) or [getattr(kind, "download_url_prefix", getattr(kind, "url", None))]
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
    folder, files = LAYOUT[name]
    if absent := [file for file in files if not (root / folder / file).is_file()]:
        raise DataError(f"torchvision left no {', '.join(absent)} in {folder}")
    if name == "omniglot":
        read_omniglot(walk(root))
    elif name == "cifar10":
        read_cifar10(walk(root))
    else:
        read_grey(walk(root), name)


def _move(part: Path, name: str, cache: Path) -> None:
    folder, files = LAYOUT[name]
    (cache / folder).mkdir(parents=True, exist_ok=True)
    for file in files:
        os.replace(part / folder / file, cache / folder / file)
