"""``decimation4``: the multi-view network of RegNet (arXiv 1908.10235, section 3.3.2)."""

from functions.network.builder import network_function
from functions.network.description import DECIMATION4

network = network_function(DECIMATION4)
