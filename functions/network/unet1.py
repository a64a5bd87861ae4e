"""``unet1``: the U-Net of RegNet (arXiv 1908.10235, section 3.3.1), trained on whole images at stage 4 by default."""

from .layer_kinds import INPUT, NetworkTable, concat, conv, pool, up

TABLE = NetworkTable(
    radius_train=(62, 62),
    full_image=True,
    layers=(
        conv('R1/conv1_R1', INPUT, 12, padding='same'),
        pool('R2/max_R2', 'R1/conv1_R1', padding='same'),
        conv('R2/conv1_R2', 'R2/max_R2', 24),
        pool('R3/max_R3', 'R2/conv1_R2', padding='same'),
        conv('R3/conv1_R3', 'R3/max_R3', 28),
        pool('R4/max_R4', 'R3/conv1_R3'),
        conv('R4/conv1_R4', 'R4/max_R4', 32, padding='same'),
        conv('R4/conv2_R4', 'R4/conv1_R4', 40, padding='same'),
        conv('R4/conv3_R4', 'R4/conv2_R4', 44, padding='same'),
        up('R3_Up/conv1_R3_Up', 'R4/conv3_R4'),
        concat('R3_Up/concat_R3_Up', 'R3_Up/conv1_R3_Up', 'R3/conv1_R3'),
        conv('R3_Up/conv2_R3_Up', 'R3_Up/concat_R3_Up', 32, padding='same'),
        up('R2_Up/conv1_R2_Up', 'R3_Up/conv2_R3_Up', margin=1),
        concat('R2_Up/concat_R2_Up', 'R2_Up/conv1_R2_Up', 'R2/conv1_R2'),
        conv('R2_Up/conv2_R2_Up', 'R2_Up/concat_R2_Up', 18, padding='same'),
        up('R1_Up/conv1_R1_Up', 'R2_Up/conv2_R2_Up', margin=1),
        concat('R1_Up/concat_R1_Up', 'R1_Up/conv1_R1_Up', 'R1/conv1_R1'),
        # Named conv1_R2_Up inside R1_Up by the published code; kept so that its checkpoints restore.
        conv('R1_Up/conv1_R2_Up', 'R1_Up/concat_R1_Up', 12, padding='same', activation='elu'),
        conv('DVF/DVF_RegNet', 'R1_Up/conv1_R2_Up', 3, kernel=1, activation=None, normalise=False),
    ),
)
