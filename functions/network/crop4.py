"""``crop4``: the U-Net advanced of RegNet (arXiv 1908.10235, section 3.3.3), also known as ``crop4_connection``."""

from functions.network.builder import network_function
from functions.network.description import CROP4

network = network_function(CROP4)
