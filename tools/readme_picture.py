"""Draw docs/pictures/memory.png for the README: a real memory, who wrote where, and noisy cues answered from it.

python tools/readme_picture.py      (shipped weights; data as `kpp_lib.load_dataset` finds it)
"""

from pathlib import Path

import matplotlib.pyplot as plt
import torch

import kpp_lib as kpp
from kpp_lib import plots
from kpp_lib.noise import add_noise

OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "memory.png"
SHOWN = 8  # images of the episode that are named by colour and shown


@torch.no_grad()
def main() -> None:
    model = kpp.load_pretrained("mnist-cpu")
    grey = kpp.episode(kpp.load_dataset("mnist", binarize="none").test, length=model.config.length, seed=3)
    clean = (grey > 0.5).float()  # [1, T, 1, 28, 28]
    memory = model.write(clean)
    windows = model.window(model.infer(clean).q_y.mean)[0]  # [T, K, 3]
    noisy = add_noise(grey[:, :SHOWN], "salt & pepper", 0.2, kpp.seeded(1))
    answer = model.iterate(noisy, memory, steps=1)[1]
    colours = [plt.get_cmap("tab10")(i) for i in range(SHOWN)]
    fig = plt.figure(figsize=(10, 3.5), layout="constrained")
    left, right = fig.subfigures(1, 2, width_ratios=(1, 1.9))
    ax = left.subplots()
    others = windows[SHOWN:].flatten(0, 1)
    plots.show_memory(ax, memory[0], torch.cat([others, windows[:SHOWN].flatten(0, 1)]),
                      [(0, 0, 0, 0.25)] * len(others) + [c for c in colours for _ in range(model.config.reads)],
                      "32 images written into one memory, two windows each")  # fmt: skip
    axes = right.subplots(3, SHOWN)
    named = (("written", clean[0]), ("noisy cue", noisy[0]), ("read from\nmemory", answer[0]))
    for line, (name, images) in zip(axes, named, strict=True):
        for ax, image, colour in zip(line, images, colours, strict=False):
            plots.show_picture(ax, image)
            plt.setp(ax.spines.values(), color=colour, linewidth=2)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(OUT, dpi=110)
    print(f"wrote docs/pictures/{OUT.name}")


if __name__ == "__main__":
    main()
