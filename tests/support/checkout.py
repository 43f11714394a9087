"""A copy of this repository as someone who clones it gets it, and a small environment to install it into."""

import hashlib
import os
import shutil
import subprocess
import venv
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def copy_of_tracked_files(target: Path) -> Path:
    """Copies every tracked file, as it stands now, under `target`; skips where this is no git work tree."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git work tree (an unpacked archive?): which files a clone would have is not known here")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # removed and not yet committed: a clone will not have it either
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def small_environment(folder: Path, packages: dict[str, str]) -> tuple[Path, Path]:
    """A virtual environment with pip, setuptools and empty packages {name: version}; its Python and site-packages."""
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    for file in metadata.files("pip") + metadata.files("setuptools"):  # copied: installing and building need no network
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), site / file)
    for name, version in packages.items():
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(f"__version__ = {version!r}\n")
        (site / f"{name}-{version}.dist-info").mkdir()
        (site / f"{name}-{version}.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    return python, site


def offline_pip() -> dict[str, str]:
    """The variables of this process without those that steer Python and pip, and with a pip that asks no network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    # pip reads this one as the value of `build_isolation`: 0 builds with the setuptools that is there
    return kept | {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def contents(site: Path) -> dict[str, str]:
    """Every file with a digest, without what Python itself writes when it imports."""
    return {
        file.relative_to(site).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in site.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
