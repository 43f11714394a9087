"""Omniglot's drawings as grey images: averaged, and moved."""

import numpy as np
import torch

from kpp_lib.data.drawing import average, moved, unpacked_ink


def test_moved_drawings_stay_near_and_keep_their_ink():
    ink = np.zeros((64, 105, 105), np.uint8)
    ink[:, 30:75, 45:60] = 1  # a bar, 45 x 15 pixels
    packed = torch.from_numpy(np.packbits(ink.reshape(64, -1), axis=1))
    still = average(unpacked_ink(packed)).float() / 255
    grey = moved(packed, torch.Generator().manual_seed(0)).float() / 255
    assert grey.std(dim=0).max() > 0.2  # all 64 moved differently
    assert abs(grey.sum(dim=(1, 2, 3)).mean() / still[0].sum() - 1) < 0.03  # neither thinned nor thickened
    for axis in (2, 3):  # the centre moves by up to 6/3.75 pixels and what the turn adds, and on average not at all
        profile = grey.sum(dim=(1, axis))  # [n, 28]
        centre = (profile * (torch.arange(28) + 0.5)).sum(-1) / profile.sum(-1)
        assert abs(centre.mean() - 14) < 0.5 and 1 < (centre - 14).abs().max() < 3
