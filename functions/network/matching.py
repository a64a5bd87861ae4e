"""``matching``: features of both images by the same weights, how alike they are at every displacement, and a small
U-Net that turns this into a DVF. It compares images where the others regress, so that it learns from few scans.

Not in the paper; the correlation of features is that of FlowNetC (Dosovitskiy et al., ICCV 2015). It reads HU: the
setting ``normalization`` must be None.
"""

from .layer_kinds import (
    INPUT,
    NetworkTable,
    apart,
    concat,
    contrast,
    conv,
    correlation,
    crop,
    smooth,
    softmax,
    together,
    up,
)

RADIUS = 2  # voxels of half the resolution
SMOOTHING = 4  # the same, three standard deviations: finer parts of a field are noise of the images rather than motion

TABLE = NetworkTable(
    radius_train=(32, 32),
    full_image=True,
    layers=(
        contrast('Features/contrast', INPUT, 3),
        apart('Features/apart', 'Features/contrast'),
        conv('Features/conv1', 'Features/apart', 8, padding='same'),
        conv('Features/conv2', 'Features/conv1', 16, padding='same', stride=2),
        conv('Features/conv3', 'Features/conv2', 16, padding='same'),
        conv('Features/conv4', 'Features/conv3', 16, padding='same', activation=None),
        correlation('Match/correlation', 'Features/conv4', RADIUS),
        softmax('Match/softmax', 'Match/correlation'),
        conv('Match/displacement', 'Match/softmax', 12, kernel=1, activation=None),
        conv('Match/likeness', 'Match/correlation', 20, kernel=1),
        together('Match/together', 'Features/conv4'),
        concat('Match/concat', 'Match/displacement', 'Match/likeness', 'Match/together'),
        conv('R2/conv1', 'Match/concat', 32, kernel=1),
        conv('R2/conv2', 'R2/conv1', 32, padding='same'),
        conv('R4/conv1', 'R2/conv2', 40, padding='same', stride=2),
        conv('R4/conv2', 'R4/conv1', 40, padding='same'),
        conv('R8/conv1', 'R4/conv2', 48, padding='same', stride=2),
        conv('R8/conv2', 'R8/conv1', 48, padding='same'),
        conv('R8/conv3', 'R8/conv2', 48, padding='same'),
        up('R4_Up/up', 'R8/conv3'),
        crop('R4_Up/crop', 'R4_Up/up', 1),
        concat('R4_Up/concat', 'R4_Up/crop', 'R4/conv2'),
        conv('R4_Up/conv1', 'R4_Up/concat', 40, padding='same'),
        up('R2_Up/up', 'R4_Up/conv1'),
        crop('R2_Up/crop', 'R2_Up/up', 1),
        concat('R2_Up/concat', 'R2_Up/crop', 'R2/conv2', 'Match/displacement'),
        conv('R2_Up/conv1', 'R2_Up/concat', 32, padding='same', activation='elu'),
        conv('DVF/half', 'R2_Up/conv1', 3, kernel=1, activation=None, normalise=False),
        smooth('DVF/smooth', 'DVF/half', SMOOTHING),
        up('DVF/up', 'DVF/smooth'),
        crop('DVF/DVF_RegNet', 'DVF/up', 1),
    ),
)
