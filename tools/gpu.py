"""The parts of tools/gpu.sh that are Python: the data to carry, what machine this is, and a folder of eight files.

python tools/gpu.py pack SRC DEST | check DATA | about | report WORK OUT | unpack OUT DEST
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from kpp_lib import DataError, __version__
from kpp_lib.data import idx, omniglot, released
from kpp_lib.data.finding import walk
from kpp_lib.evaluation.report import load_report, markdown, write_text
from kpp_lib.training.checkpoint import load_card, load_model, save_model
from kpp_lib.training.provenance import commit

MIB = 2**20
CARRIED = 60 * MIB  # of data
FILES, LARGEST = 8, 15 * MIB  # of the folder that comes back: eight, each under 16 MiB
PARTS = FILES - 4  # of weights, beside report.md, results.tar.gz and two pictures
TAIL = 200_000  # bytes of a log that are kept


def pack(source: Path, target: Path) -> None:
    """Copy the files of MNIST, its released bits and Omniglot. SystemExit where one is missing."""
    tree, files = walk(source), {}
    try:
        files |= {path: "mnist" for path in idx.read(tree, "mnist", idx.FILES).paths.values()}
    except DataError as error:
        raise SystemExit(f"SRC: got {source}, expected the four files of MNIST; {error}") from error
    for folder, found in (
        ("binarized_mnist", released.npz_files(tree)[0]),
        ("omniglot", omniglot.npz_files(tree, "background")),
    ):
        if not found:
            raise SystemExit(f"SRC: got {source}, expected an npz of {folder} beside the four files of MNIST")
        files[found[0]] = folder
    for file, folder in files.items():
        copy = target / folder / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    (target / "commit.txt").write_text(commit() + "\n")  # a checkout that is carried may leave its .git behind
    check(target)


def check(folder: Path) -> None:
    """SystemExit if the data folder is missing or too large to carry."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if not 0 < size <= CARRIED:
        raise SystemExit(f"DATA: got {folder} with {size / MIB:.1f} MiB, expected a folder of data under 60 MiB")
    print(f"data: {size / MIB:.1f} MiB in {folder}")


def about() -> None:
    """Card, driver, versions, commit: the head of the report."""
    print("# A lent GPU\n")
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(i).total_memory / 2**30
            print(f"- card {i}: {torch.cuda.get_device_name(i)}, {memory:.0f} GiB; driver {driver()}")
    else:
        print("- card: none, this ran on the CPU")
    print(
        f"- torch {torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}, commit {here()}"
    )


def here() -> str:
    """The commit of this code; where git does not know it, that of the checkout which packed the data."""
    packed = Path(os.environ.get("KPP_DATA", ".")) / "commit.txt"
    return packed.read_text().strip() if commit() == __version__ and packed.is_file() else commit()


def driver() -> str:
    """What nvidia-smi says, or that it is silent."""
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, timeout=20, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"


def report(work: Path, out: Path) -> None:
    """At most eight files from what sweep and bench left in `work`, the most valuable first: time may be short."""
    words = [(work / "about.txt").read_text(encoding="utf-8"), *_printed(work)]
    results = sorted((work / "sweep").glob("*.json"))
    for file in results:
        _name_commit(file)
    if results:
        words.insert(1, "## Scores\n\n" + markdown([load_report(file) for file in results]) + "\n")
    _write(out / "report.md", words)
    bundle(work, out / "results.tar.gz")
    for step in (weights, curves, pictures):
        try:
            words.append(step(work, out))
        except Exception as error:  # the rest is worth having
            words.append(f"{step.__name__}: {type(error).__name__}: {error}")
        _write(out / "report.md", words)
    for file in out.iterdir():
        if file.stat().st_size >= 16 * MIB:
            raise SystemExit(f"{file}: {file.stat().st_size / MIB:.1f} MiB, expected under 16")


def _name_commit(file: Path) -> None:
    result = json.loads(file.read_bytes())
    if result["commit"] == __version__ != here():
        result["commit"] = result["training"]["commit"] = here()
        write_text(file, json.dumps(result, indent=1) + "\n")


def _write(file: Path, words: list[str]) -> None:
    file.write_text("\n".join(words) + "\n", encoding="utf-8")


def _printed(work: Path) -> Iterator[str]:
    for name in ("sweep", "bench"):
        file = work / f"{name}.txt"
        if file.exists():
            text = file.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
            yield f"## What {name} printed\n\n```\n{text[-20_000:].strip()}\n```\n"


def bundle(work: Path, file: Path) -> None:
    """Results, logs and what was printed as one archive; a long log by its end."""
    with tarfile.open(file, "w:gz") as archive:
        for path in sorted(p for p in work.rglob("*") if p.suffix in (".json", ".csv", ".log", ".txt") and p.is_file()):
            if path.suffix == ".log" and path.stat().st_size > TAIL:
                path.write_bytes(path.read_bytes()[-TAIL:])
            archive.add(path, path.relative_to(work).as_posix())


def _runs(work: Path) -> list[Path]:
    """Folders of runs with a model, the first begun first."""
    folders = [folder for folder in (work / "sweep").iterdir() if (folder / "best").is_dir()]
    return sorted(folders, key=lambda folder: (folder / "log.csv").stat().st_ctime) if folders else []


def weights(work: Path, out: Path) -> str:
    """The best models as fp16, over at most PARTS files under 16 MiB; what does not fit is named."""
    parts, sizes, left_out, kept = [{}], [0], [], {}
    for folder in sorted(_runs(work), key=lambda f: not (f.parent / f"{f.name}.json").exists()):
        model = load_model(folder)
        half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in model.state_dict().items()}
        trial = [dict(p) for p in parts], list(sizes)
        for name, tensor in half.items():
            size = tensor.numel() * tensor.element_size() + 200  # and its line in the header
            if trial[1][-1] + size > LARGEST:
                trial[0].append({})
                trial[1].append(0)
            trial[0][-1][f"{folder.name}/{name}"] = tensor
            trial[1][-1] += size
        if len(trial[0]) > PARTS:
            left_out.append(folder.name)
            continue
        (parts, sizes), kept[folder.name] = trial, load_card(folder)
    if not kept:
        return "weights: no run has a model" if not left_out else f"weights: none fit ({', '.join(left_out)})"
    for i, part in enumerate(parts, 1):
        save_file(part, out / f"weights-{i}.safetensors", {"cards": json.dumps(kept)} if i == 1 else None)
    return f"weights (fp16): {', '.join(kept)}; left out: {', '.join(left_out) or 'none'}"


def unpack(folder: Path, target: Path) -> None:
    """Results, logs and runs again, as a sweep leaves them, from what `report` made."""
    with tarfile.open(folder / "results.tar.gz") as archive:
        archive.extractall(target, filter="data")
    parts, tensors = sorted(folder.glob("weights-*.safetensors")), {}
    if not parts:
        return
    for part in parts:
        tensors |= load_file(part)
    with safe_open(parts[0], "pt") as first:
        cards = json.loads(first.metadata()["cards"])
    for name, card in cards.items():
        model = load_bare(card, {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")})
        kept = {k: v for k, v in card.items() if k not in ("format", "config", "sha256")}
        save_model(model, target / "sweep" / name / "best", kept, half=True)
    print(f"{target}/sweep: {', '.join(cards)}")


def load_bare(card: dict, tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The model of a card with these weights."""
    from kpp_lib import Config
    from kpp_lib.models import make_model

    model = make_model(Config.from_dict(card["config"]))
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    return model


def curves(work: Path, out: Path) -> str:
    """Total against steps, for each run."""
    try:
        import matplotlib
    except ImportError:
        return "curves: none, matplotlib is not installed"
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from kpp_lib.training.runlog import read_log

    fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for folder in _runs(work):
        rows = [row for row in read_log(folder / "log.csv") if row["split"] == "valid"]
        for ax, name in zip(axes, ("total", "kl_y"), strict=True):
            points = [int(r["step"]) for r in rows], [float(r[name]) for r in rows]
            ax.plot(*points, marker=".", label=folder.name)
            ax.set(xlabel="step", ylabel=f"{name}, nats/image, validation")
    if axes[0].lines:
        axes[0].legend(fontsize=7)
    fig.savefig(out / "curves.png", dpi=100)
    return "curves.png: validation during training"


@torch.no_grad()
def pictures(work: Path, out: Path) -> str:
    """For each finished run an episode, what its posterior decodes to, and what is read from memory alone."""
    from torchvision.utils import make_grid, save_image

    import kpp_lib as kpp

    lines, names = [], []
    for result in (json.loads(f.read_bytes()) for f in sorted((work / "sweep").glob("*.json"))):
        model = load_model(work / "sweep" / result["run"])
        data = kpp.load_dataset(result["dataset"], "fixed", quiet=True)
        x = kpp.episode(data.test, length=min(16, model.config.length), seed=0)
        q = model.infer(x)
        rows = [x[0], model.decode(getattr(q, "q_z", q).mean).mean[0]]  # a VAE infers z alone
        if model.config.write != "none":
            rows.append(model.iterate(x, model.write(x), steps=1)[1][0])
        lines += [image for row in rows for image in row]
        names.append(f"{result['run']} ({len(rows)} lines)")
    if not lines:
        return "pictures: none, no run is finished"
    save_image(make_grid(torch.stack(lines).cpu(), nrow=x.shape[1], pad_value=0.5), out / "pictures.png")
    return f"pictures.png, from the top, images, decoded posteriors, read from memory: {', '.join(names)}"


if __name__ == "__main__":
    command, *folders = sys.argv[1:]
    {"pack": pack, "check": check, "about": about, "report": report, "unpack": unpack}[command](*map(Path, folders))
