"""Kanerva++ (ICLR 2021): a VAE whose prior is read from a memory that the episode was written into.

import kpp_lib as kpp
data  = kpp.load_dataset("mnist", binarize="fixed")
model = kpp.load_pretrained("mnist-cpu")
x     = kpp.episode(data.test, length=32, seed=0)     # [1, 32, 1, 28, 28]
print(model.bound(x))
"""

from .bound import Bound, importance_bound
from .config import Config
from .data.episodes import Batch, Episodes, episode, seeded
from .data.images import Images, ImageSet
from .data.load import load_dataset
from .data.sources import DataError
from .evaluation.evaluate import evaluate
from .model import KanervaPlusPlus
from .training.checkpoint import CheckpointError, load_card, load_model, load_pretrained, pretrained_names, save_model
from .training.fit import fit
from .training.memories import load_memory, save_memory

__version__ = "0.1.0"
__all__ = [
    "Batch",
    "Bound",
    "CheckpointError",
    "Config",
    "DataError",
    "Episodes",
    "ImageSet",
    "Images",
    "KanervaPlusPlus",
    "episode",
    "evaluate",
    "fit",
    "importance_bound",
    "load_card",
    "load_dataset",
    "load_memory",
    "load_model",
    "load_pretrained",
    "pretrained_names",
    "save_memory",
    "save_model",
    "seeded",
]
