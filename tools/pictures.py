"""Draw docs/pictures/*.png for README and docs: a real memory with who wrote where, and the studies of results/studies.

python tools/pictures.py      (shipped weights, data as `kpp_lib.load_dataset` finds it, and what `kpp study` printed)
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

import kpp_lib as kpp
from kpp_lib.course import plots
from kpp_lib.data.noise import add_noise

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "pictures"
SHOWN = 8  # images of the episode that are named by colour and shown
STEP = 1  # of cleaning up, drawn against the strength of the noise: the first


@torch.no_grad()
def memory() -> Figure:
    """A memory of 32 images with a window for each, and eight noisy cues answered from it."""
    model = kpp.load_pretrained("mnist-cpu")
    grey = kpp.episode(kpp.load_dataset("mnist", binarize="none").test, length=model.config.length, seed=3)
    clean = (grey > 0.5).float()  # [1, T, 1, 28, 28]
    written = model.write(clean)
    windows = model.window(model.infer(clean).q_y.mean)[0]  # [T, K, 3]
    noisy = add_noise(grey[:, :SHOWN], "salt & pepper", 0.2, kpp.seeded(1))
    answer = model.iterate(noisy, written, steps=1)[1]
    colours = [plt.get_cmap("tab10")(i) for i in range(SHOWN)]
    fig = plt.figure(figsize=(10, 3.5), layout="constrained")
    left, right = fig.subfigures(1, 2, width_ratios=(1, 1.9))
    ax = left.subplots()
    others = windows[SHOWN:].flatten(0, 1)
    plots.show_memory(ax, written[0], torch.cat([others, windows[:SHOWN].flatten(0, 1)]),
                      [(0, 0, 0, 0.25)] * len(others) + [c for c in colours for _ in range(model.config.reads)],
                      "32 images written into one memory, alike ones side by side")  # fmt: skip
    axes = right.subplots(3, SHOWN)
    named = (("written", clean[0]), ("noisy cue", noisy[0]), ("read from\nmemory", answer[0]))
    for line, (name, images) in zip(axes, named, strict=True):
        for ax, image, colour in zip(line, images, colours, strict=False):
            plots.show_picture(ax, image)
            plt.setp(ax.spines.values(), color=colour, linewidth=2)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    return fig


def study(name: str) -> dict[str, list[dict]]:
    """Rows of a study by checkpoint, one for each file of results/studies."""
    files = sorted((ROOT / "results" / "studies").glob(f"*-{name}.json"))
    return {report["checkpoint"]: report["rows"] for report in (json.loads(f.read_text()) for f in files)}


def capacity() -> Figure:
    """Total and retrieval against T; dashed, the total of the memory-free VAE."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for checkpoint, rows in study("capacity").items():
        checkpoint = Path(checkpoint).name.removesuffix("-seed0")
        length = [r["T"] for r in rows]
        left.plot(length, [r["total"] for r in rows], marker="o", markersize=4, label=checkpoint)
        found = [100 * r["retrieval_shuffled"] for r in rows]
        right.plot(length, found, marker="o", markersize=4, label=checkpoint)
    vae = json.loads((ROOT / "results" / "mnist-vae-cpu.json").read_text())["scores"]["total"]["mean"]
    left.axhline(vae, color="grey", linestyle="--", label="mnist-vae-cpu, no memory")
    left.set(ylabel="total, nats/image", yscale="log", title="The bound")
    left.set_yticks(ticks := [20, 50, 100, 200, 500], map(str, ticks))
    left.minorticks_off()
    right.set(ylabel="own image found, %", ylim=(0, 103), title="Retrieval, cues shuffled")
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set(xlabel="T, images in one memory", xticks=length, xticklabels=length)
        ax.axvline(32, color="grey", linestyle=":")
    left.legend(fontsize=8)
    return fig


def cleanup() -> Figure:
    """Bit error after one step against the strength of each noise, of mnist-cpu and what stands beside it."""
    rows = study("cleanup")["mnist-cpu"]
    kinds = list(dict.fromkeys(r["kind"] for r in rows))
    fig, axes = plt.subplots(1, len(kinds), figsize=(9.5, 3.2), sharey=True, layout="constrained")
    for ax, kind in zip(axes, kinds, strict=True):
        mine = [r for r in rows if r["kind"] == kind]
        for reader in dict.fromkeys(r["reader"] for r in mine):
            points = [(r["strength"], r["error"][STEP]) for r in mine if r["reader"] == reader]
            ax.plot(*zip(*points, strict=True), marker="o", markersize=4, label=reader)
        nothing = dict((r["strength"], r["error"][0]) for r in mine)
        ax.plot(nothing.keys(), nothing.values(), color="grey", linestyle="--", label="doing nothing")
        ax.set(title=kind, xlabel="strength", ylim=(0, 25))
    axes[0].set_ylabel("bit error, %")
    axes[1].legend(fontsize=8)  # the first panel is full
    return fig


def perturbation() -> Figure:
    """Change of the picture against the perturbation of its key; dashed, a fresh random key."""
    rows = study("perturbation")
    stds = [r["std"] for r in next(iter(rows.values())) if r["std"] is not None]
    change = {name: [r["change"] for r in of if r["std"] is not None] for name, of in rows.items()}
    fig = plots.curves(stds, change, "standard deviation of the perturbation", "mean change, % of full ink")
    for i, of in enumerate(rows.values()):
        fig.axes[0].axhline(next(r["change"] for r in of if r["std"] is None), color=f"C{i}", linestyle="--")
    fig.axes[0].set_ylim(0, None)
    return fig


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for draw in (memory, capacity, cleanup, perturbation):
        draw().savefig(OUT / f"{draw.__name__}.png", dpi=110)
        print(f"wrote docs/pictures/{draw.__name__}.png")


if __name__ == "__main__":
    main()
