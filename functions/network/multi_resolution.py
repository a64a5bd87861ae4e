"""Rows that ``crop4`` and ``decimation4`` have in common: their branches and the layers that join them."""

from .layer_kinds import concat, conv, crop, up


def branch_r1(source):
    """The branch of full resolution after its first convolution."""
    return (
        conv('R1/conv2_R1', source, 20),
        conv('R1/conv3_R1', 'R1/conv2_R1', 24),
        conv('R1/conv4_R1', 'R1/conv3_R1', 28),
        conv('R1/conv5_R1', 'R1/conv4_R1', 32),
        conv('R1/conv6_R1', 'R1/conv5_R1', 32),
        conv('R1/conv7_R1', 'R1/conv6_R1', 32),
    )


def branch_r2(source):
    """The branch of half the resolution, back at full resolution beside ``R1/connection_R1``."""
    return (
        conv('R2/conv2_R2', source, 30),
        conv('R2/conv3_R2', 'R2/conv2_R2', 32, dilation=2),
        conv('R2/conv4_R2', 'R2/conv3_R2', 34, dilation=2),
        conv('R2/conv5_R2', 'R2/conv4_R2', 36, dilation=2),
        conv('R2/conv6_R2', 'R2/conv5_R2', 38, dilation=2),
        up('R2/conv7_R2', 'R2/conv6_R2'),
        concat('R2/concat_R2', 'R2/conv7_R2', 'R1/connection_R1'),
        conv('R2/conv8_R2', 'R2/concat_R2', 40),
    )


def branch_r4(source):
    """The branch of a quarter of the resolution, back at full resolution beside ``R1/connection_R1``."""
    return (
        conv('R4/conv2_R4', source, 40),
        conv('R4/conv3_R4', 'R4/conv2_R4', 42, dilation=2),
        conv('R4/conv4_R4', 'R4/conv3_R4', 44, dilation=2),
        conv('R4/conv5_R4', 'R4/conv4_R4', 46, dilation=2),
        up('R4/conv6_R4', 'R4/conv5_R4'),
        crop('R4/connection_R2', 'R2/conv5_R2', 1),
        concat('R4/concat1_R4', 'R4/conv6_R4', 'R4/connection_R2'),
        conv('R4/conv7_R4', 'R4/concat1_R4', 46),
        up('R4/conv8_R4', 'R4/conv7_R4'),
        concat('R4/concat2_R4', 'R4/conv8_R4', 'R1/connection_R1'),
        conv('R4/conv9_R4', 'R4/concat2_R4', 40),
    )


def head(*branches):
    """Rows that join the branches of a multi-resolution network and give the DVF."""
    return (
        concat('Merged/concat', *branches),
        conv('FullyConnected/conv1_FC', 'Merged/concat', 120, activation='elu'),
        conv('FullyConnected/conv2_FC', 'FullyConnected/conv1_FC', 50, activation='elu'),
        conv('DVF/DVF_RegNet', 'FullyConnected/conv2_FC', 3, kernel=1, activation=None, normalise=False),
    )
