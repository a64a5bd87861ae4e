"""``decimation4``: the multi-view network of RegNet (arXiv 1908.10235, section 3.3.2)."""

from .layer_kinds import INPUT, NetworkTable, conv, crop, down
from .multi_resolution import branch_r1, branch_r2, branch_r4, head

TABLE = NetworkTable(
    radius_train=(52, 10),
    layers=(
        down('DownSampling_R4/images_R4', INPUT, 4),
        crop('DownSampling_R2/crop_R2', INPUT, 19),
        down('DownSampling_R2/images_R2', 'DownSampling_R2/crop_R2', 2),
        crop('DownSampling_R1/images_R1', INPUT, 34),
        conv('R1/conv1_R1', 'DownSampling_R1/images_R1', 16, padding='same'),
        *branch_r1('R1/conv1_R1'),
        crop('R1/connection_R1', 'R1/conv1_R1', 5),
        # Named conv2_R1 inside R2 by the published code; kept so that its checkpoints restore.
        conv('R2/conv2_R1', 'DownSampling_R2/images_R2', 20, padding='same'),
        *branch_r2('R2/conv2_R1'),
        conv('R4/conv1_R4', 'DownSampling_R4/images_R4', 30),
        *branch_r4('R4/conv1_R4'),
        *head('R1/conv7_R1', 'R2/conv8_R2', 'R4/conv9_R4'),
    ),
)
