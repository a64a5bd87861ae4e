"""``crop4``: the U-Net advanced of RegNet (arXiv 1908.10235, section 3.3.3), published as ``crop4_connection``."""

from .layer_kinds import INPUT, NetworkTable, conv, crop, pool
from .multi_resolution import branch_r1, branch_r2, branch_r4, head

TABLE = NetworkTable(
    radius_train=(50, 10),
    layers=(
        conv('R1/conv1_R1', INPUT, 16),
        crop('R1/crop_R1', 'R1/conv1_R1', 31),
        *branch_r1('R1/crop_R1'),
        crop('R1/connection_R1', 'R1/conv1_R1', 36),
        pool('R2/max_R2', 'R1/conv1_R1'),
        conv('R2/conv1_R2', 'R2/max_R2', 30),
        crop('R2/crop_R2', 'R2/conv1_R2', 8),
        *branch_r2('R2/crop_R2'),
        pool('R4/max_R4', 'R2/conv1_R2'),
        conv('R4/conv1_R4', 'R4/max_R4', 40),
        *branch_r4('R4/conv1_R4'),
        *head('R1/conv7_R1', 'R2/conv8_R2', 'R4/conv9_R4'),
    ),
)
