"""Put a trained model into the package: fp16 weights and a model card.

python tools/ship.py RUN NAME --about "one sentence" [--baseline NAME]
python tools/ship.py NAME NAME --report results/NAME.json

The first takes the folder of a run, of `kpp train` or of a sweep (DIR/NAME-seedN), to kpp_lib/weights/NAME. The second
adds its scores to the card: those of `kpp evaluate --checkpoint NAME --out results/NAME.json`, run on the committed
weights.
"""

import argparse
import json
from pathlib import Path

from kpp_lib.sweep.plan import train_command
from kpp_lib.training.checkpoint import PRETRAINED, amend_card, load_card, load_model, save_model

NOT_FOR = (
    "Anything but learning and research about memory models: it has seen small binary pictures of one kind only. Its "
    "numbers are conditional bounds, not likelihoods to rank against others."
)
LICENCE = {
    "mnist": "MIT for the weights; MNIST itself is commonly given as CC BY-SA 3.0",
    "omniglot": "MIT for the weights; Omniglot itself is MIT",
}


def command(card: dict) -> str:
    """The line that trains this model again."""
    config, data = card["config"], card["data"]
    out = f"runs/{data['name']}-{config['recipe_name']}"
    return train_command(config, data["name"], data["binarize"], out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("name")
    parser.add_argument("--about")
    parser.add_argument("--baseline")
    parser.add_argument("--note", help="what a reader of the numbers or the command has to know")
    parser.add_argument("--report", type=Path)
    args = parser.parse_args()
    card = load_card(args.source)
    if args.report:
        report = json.loads(args.report.read_text())
        scored = {k: report[k] for k in ("T", "orders", "images", "commit", "date")}
        amend_card(PRETRAINED / args.name, {"scores": report["scores"], "scored": scored})
        return
    model = load_model(args.source)
    kept = {k: card[k] for k in ("step", "valid", "data", "hardware", "commit")}
    about = {
        "name": args.name,
        "about": args.about,
        "command": command(card),
        "baseline": args.baseline,
        "note": args.note,
    }
    words = {"results": f"results/{args.name}.json", "licence": LICENCE[card["data"]["name"]], "not_for": NOT_FOR}
    save_model(model, PRETRAINED / args.name, kept | about | words, half=True)
    size = sum(f.stat().st_size for f in (PRETRAINED / args.name).iterdir()) / 2**20
    print(f"kpp_lib/weights/{args.name}: {size:.1f} MiB")


if __name__ == "__main__":
    main()
