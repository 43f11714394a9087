"""A model for a data set, and a data set for a model: size, channels, and the likelihood of grey and colour."""

from __future__ import annotations

from typing import Any

from ..config import Config
from ..data.images import ImageSet
from ..data.load import SHAPES, load_dataset


def suited(dataset: str, binarize: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """The fields of `Config` that a data set asks for beside those that are `given`: size and channels of its images,
    and a likelihood of grey or colour where they stay as they are."""
    fields: dict[str, Any] = SHAPES.get(dataset, {}) | given
    if binarize == "none" or (binarize is None and fields.get("channels", 1) != 1):
        fields = {"likelihood": "logistic_mixture"} | fields
    return {name: value for name, value in fields.items() if name not in given}


def load_for(config: Config, dataset: str, binarize: str, quiet: bool = True) -> ImageSet:
    """`load_dataset`; a folder is read, and mazes are rendered, at the size and in the channels of a model."""
    return load_dataset(dataset, binarize, quiet=quiet, size=config.image_size, grey=config.channels == 1)
