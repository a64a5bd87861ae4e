"""``error_map``: how far a registration is off, from the two images as it aligns them.

It compares features of both images nearby, as ``matching`` does, and turns what it finds into the distribution of the
error, voxel by voxel, on a grid twice as coarse. Not in the paper. It reads HU: the
setting ``normalization`` must be None.
"""

from .layer_kinds import INPUT, NetworkTable, apart, concat, contrast, conv, correlation, crop, softmax, together, up

RADIUS = 1  # voxels of half the resolution

TABLE = NetworkTable(
    radius_train=(32, 32),
    full_image=True,
    predicts='error',
    layers=(
        contrast('Features/contrast', INPUT, 3),
        apart('Features/apart', 'Features/contrast'),
        conv('Features/conv1', 'Features/apart', 12, padding='same', stride=2),
        conv('Features/conv2', 'Features/conv1', 16, padding='same'),
        conv('Features/conv3', 'Features/conv2', 16, padding='same', activation=None),
        correlation('Match/correlation', 'Features/conv3', RADIUS),
        softmax('Match/softmax', 'Match/correlation'),
        conv('Match/displacement', 'Match/softmax', 8, kernel=1, activation=None),
        conv('Match/likeness', 'Match/correlation', 16, kernel=1),
        together('Match/together', 'Features/conv3'),
        concat('Match/concat', 'Match/displacement', 'Match/likeness', 'Match/together'),
        conv('R2/conv1', 'Match/concat', 24, kernel=1),
        conv('R4/conv1', 'R2/conv1', 32, padding='same', stride=2),
        conv('R4/conv2', 'R4/conv1', 32, padding='same'),
        conv('R8/conv1', 'R4/conv2', 40, padding='same', stride=2),
        conv('R8/conv2', 'R8/conv1', 40, padding='same'),
        conv('R8/conv3', 'R8/conv2', 40, padding='same'),
        up('R4_Up/up', 'R8/conv3'),
        crop('R4_Up/crop', 'R4_Up/up', 1),
        concat('R4_Up/concat', 'R4_Up/crop', 'R4/conv2'),
        conv('R4_Up/conv1', 'R4_Up/concat', 32, padding='same', activation='elu'),
        up('R2_Up/up', 'R4_Up/conv1'),
        crop('R2_Up/crop', 'R2_Up/up', 1),
        concat('R2_Up/concat', 'R2_Up/crop', 'R2/conv1'),
        conv('R2_Up/conv1', 'R2_Up/concat', 16, kernel=1, activation='elu'),
        conv('Error/half', 'R2_Up/conv1', 2, kernel=1, activation=None, normalise=False),
        up('Error/up', 'Error/half'),
        crop('Error/log_normal', 'Error/up', 1),
    ),
)
