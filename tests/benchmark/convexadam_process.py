"""convexAdam in a process of its own: its PyTorch and TensorFlow, loaded into one, end in a segmentation fault."""

import concurrent.futures
import multiprocessing

import numpy as np


def moves(fixed, moved):
    """Field of convexAdam (MIND features) in voxels along z, y, x: float32 [z, y, x, 3]; images (sitk) on one grid."""
    context = multiprocessing.get_context('spawn')
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_moves, fixed, moved).result()


def _moves(fixed, moved):
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt

    return np.asarray(convex_adam_pt(fixed, moved, dtype=torch.float32, device=torch.device('cpu')), np.float32)
