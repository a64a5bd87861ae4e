"""Three networks as a user may add them, small enough to be trained in tests."""

from functions.network.description import NetworkDescription
from functions.network.layer_kinds import INPUT, NetworkTable, add, concat, conv, crop, down, pool, up

#: DVF as large as the input. A strided convolution instead of pooling, and a residual block at half the resolution.
SMALL = NetworkDescription(
    'small',
    NetworkTable(
        radius_train=(10, 10),
        layers=(
            conv('R1/first', INPUT, 6, padding='same'),
            conv('R2/strided', 'R1/first', 8, padding='same', stride=2),
            conv('R2/a', 'R2/strided', 8, padding='same'),
            conv('R2/b', 'R2/a', 8, padding='same', activation=None),
            add('R2/sum', 'R2/strided', 'R2/b', activation='relu'),
            up('Up/up', 'R2/sum'),
            crop('Up/crop', 'Up/up', 1),
            concat('Up/concat', 'Up/crop', 'R1/first'),
            conv('DVF/DVF_RegNet', 'Up/concat', 3, kernel=1, activation=None, normalise=False),
        ),
    ),
)

#: DVF smaller than the input. Down-sampling by the fixed kernel, dilation and padded pooling, then back at full
#: resolution with a margin of zeros.
DOWN = NetworkDescription(
    'down',
    NetworkTable(
        radius_train=(20, 16),
        layers=(
            down('R2/down', INPUT, 2),
            conv('R2/dilated', 'R2/down', 4, padding='same', dilation=2),
            pool('R4/pool', 'R2/dilated', padding='same'),
            conv('R4/conv', 'R4/pool', 4, activation='elu'),
            up('Up/half', 'R4/conv', margin=1),
            up('Up/whole', 'Up/half'),
            crop('R1/crop', INPUT, 3),
            concat('Up/concat', 'Up/whole', 'R1/crop'),
            conv('DVF/DVF_RegNet', 'Up/concat', 3, activation=None, normalise=False),
        ),
    ),
)

#: Predicts how long the displacements are instead of the displacements.
LENGTHS = NetworkDescription(
    'lengths',
    NetworkTable(
        radius_train=(10, 10),
        predicts='error',
        layers=(
            conv('R1/first', INPUT, 6, padding='same'),
            conv('Error/log_normal', 'R1/first', 2, kernel=1, activation=None, normalise=False),
        ),
    ),
)
