"""``crop5``: ``unet1`` with ReLU instead of ELU in its last layer but one, published for stage 4."""

from functions.network.builder import network_function
from functions.network.description import CROP5

network = network_function(CROP5)
