"""Example of a network: a U-Net of two resolutions, trained on whole images of any odd size."""

from .layer_kinds import INPUT, NetworkTable, concat, conv, crop, up

TABLE = NetworkTable(
    radius_train=(22, 22),
    full_image=True,
    layers=(
        conv('R1/conv1', INPUT, 8, padding='same'),
        conv('R2/conv1', 'R1/conv1', 16, padding='same', stride=2),
        conv('R2/conv2', 'R2/conv1', 16, padding='same'),
        up('R1_Up/up', 'R2/conv2'),
        crop('R1_Up/crop', 'R1_Up/up', 1),
        concat('R1_Up/concat', 'R1_Up/crop', 'R1/conv1'),
        conv('R1_Up/conv1', 'R1_Up/concat', 12, padding='same', activation='elu'),
        conv('DVF/DVF_RegNet', 'R1_Up/conv1', 3, kernel=1, activation=None, normalise=False),
    ),
)
