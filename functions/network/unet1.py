"""``unet1``: the U-Net of RegNet (arXiv 1908.10235, section 3.3.1), trained on whole images at stage 4 by default."""

from functions.network.builder import network_function
from functions.network.description import UNET1

network = network_function(UNET1)
