"""The volume viewer: aspect, order of slices, the mouse wheel."""

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backend_bases import MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from oblique_images import image_of

from functions.evaluation.viewer import SliceViewer, slice_aspect, view3d_image
from functions.setting.errors import InputError, UnknownNameError


def viewer_of(volume, **settings):
    figure = Figure()
    FigureCanvasAgg(figure)
    return SliceViewer(figure, volume, **settings)


def turn(viewer, direction):
    canvas = viewer.axes.figure.canvas
    event = MouseEvent('scroll_event', canvas, 10, 10, button=direction, step=1 if direction == 'up' else -1)
    canvas.callbacks.process('scroll_event', event)


@pytest.mark.parametrize('axis, aspect', [(0, 3 / 2.0), (1, 5 / 2.0), (2, 5 / 3.0)])
def test_evaluation_viewer_aspect(axis, aspect):
    assert slice_aspect((2, 3, 5), axis) == pytest.approx(aspect)
    viewer = viewer_of(image_of(np.zeros((4, 5, 6), np.int16), spacing=(2, 3, 5)), slice_axis=axis)
    assert viewer.axes.get_aspect() == pytest.approx(aspect)


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_evaluation_viewer_wheel_turns_cyclically(axis):
    volume = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    viewer = viewer_of(volume, slice_axis=axis, title='a volume')
    count = volume.shape[axis]
    assert viewer.index == count // 2
    for step in range(1, count + 1):
        turn(viewer, 'up')
        expected = (count // 2 + step) % count
        assert viewer.index == expected
        np.testing.assert_array_equal(viewer.picture.get_array(), np.take(volume, expected, axis=axis))
        assert viewer.axes.get_xlabel() == f'slice {expected}'
    turn(viewer, 'down')
    assert viewer.index == (count // 2 - 1) % count


def test_evaluation_viewer_shows_superior_up():
    bottom_up = viewer_of(np.zeros((4, 5, 6)), slice_axis=1).axes.get_ylim()
    assert bottom_up[0] < bottom_up[1]
    axial = viewer_of(np.zeros((4, 5, 6)), slice_axis=0).axes.get_ylim()
    assert axial[0] > axial[1]


def test_evaluation_viewer_window(monkeypatch):
    shown = []
    monkeypatch.setattr(pyplot, 'show', lambda: shown.append(True))
    viewer = view3d_image(np.arange(60).reshape(3, 4, 5), title='window')
    assert shown and viewer.axes.get_title() == 'window' and viewer.index == 1
    pyplot.close(viewer.axes.figure)


def test_evaluation_viewer_refuses():
    with pytest.raises(InputError, match='slice_axis'):
        viewer_of(np.zeros((4, 5, 6)), slice_axis=3)
    with pytest.raises(InputError, match='three axes'):
        viewer_of(np.zeros((4, 5)))


def test_evaluation_viewer_two_side_by_side_turn_together():
    first = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    second = image_of((first * 2).astype(np.int16), spacing=(2, 3, 5))
    viewer = viewer_of(image_of(first.astype(np.int16), spacing=(2, 3, 5)), other=second, slice_axis=2, title='both')
    assert len(viewer.panels) == 2
    for step in range(7):
        for panel, volume in zip(range(2), (first, first * 2)):
            shown = viewer.pictures[panel].get_array()
            np.testing.assert_array_equal(shown, np.take(volume, (3 + step) % 6, axis=2))
            assert viewer.panels[panel].get_aspect() == pytest.approx(5 / 3.0)
            assert viewer.panels[panel].get_xlabel() == f'slice {(3 + step) % 6}'
        # one window for both, or they could not be compared
        assert {picture.get_clim() for picture in viewer.pictures} == {(0, 238)}
        turn(viewer, 'up')
    drawn = pixels(viewer)
    turn(viewer, 'down')
    turn(viewer, 'down')
    assert (pixels(viewer) != drawn).any()


def pixels(viewer):
    canvas = viewer.axes.figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def test_evaluation_viewer_blend_is_grey_where_both_agree():
    first = np.zeros((3, 4, 5))
    second = np.zeros((3, 4, 5))
    first[1, 0, 0] = second[1, 0, 0] = 50
    first[1, 1, 1] = second[1, 2, 2] = 100
    viewer = viewer_of(first, other=second, mode='blend')
    shown = np.asarray(viewer.picture.get_array())
    assert len(viewer.panels) == 1 and shown.shape == (4, 5, 3)
    np.testing.assert_allclose(shown[[0, 1, 2, 3], [0, 1, 2, 3]], [[0.5, 0.5, 0.5], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
    turn(viewer, 'up')
    assert not np.asarray(viewer.picture.get_array()).any()


@pytest.mark.parametrize('axis, columns, rows', [(0, 0, 1), (1, 0, 2), (2, 1, 2)])
@pytest.mark.parametrize('direction', [None, [1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 1, 0, -1, 0, 0, 0, 0, 1]])
def test_evaluation_viewer_arrows_end_where_the_field_leads(axis, columns, rows, direction):
    """Tips in pixels are those of ITK: index of p + u(p), for oblique and turned grids of unequal voxels."""
    shape = (5, 6, 7)
    blank = image_of(np.zeros(shape, np.int16), spacing=(2, 3, 5), direction=direction)
    u = np.random.RandomState(0).randn(*(shape + (3,))).astype(np.float32) * 4
    dvf = image_of(u, spacing=(2, 3, 5), direction=direction, vector=True)
    viewer = viewer_of(blank, dvf=dvf, slice_axis=axis)
    turn(viewer, 'down')
    (quiver,) = viewer.quivers
    for x, y, du, dv in zip(quiver.X, quiver.Y, quiver.U, quiver.V):
        index = [0, 0, 0]
        index[2 - axis], index[columns], index[rows] = viewer.index, int(x), int(y)
        place = np.array(blank.TransformIndexToPhysicalPoint(index)) + u[tuple(index[::-1])].astype(float)
        tip = blank.TransformPhysicalPointToContinuousIndex(place.tolist())
        assert (x + du, y + dv) == pytest.approx((tip[columns], tip[rows]), abs=1e-4)
    assert len(quiver.X) == shape[_row(axis)] * shape[2 - columns] and quiver.scale == 1
    pixels(viewer)


def _row(axis):
    return 1 if axis == 0 else 0


def test_evaluation_viewer_refuses_volumes_that_do_not_belong_together():
    volume = image_of(np.zeros((4, 5, 6), np.int16))
    with pytest.raises(InputError, match='same grid'):
        viewer_of(volume, other=image_of(np.zeros((4, 5, 6), np.int16), origin=(0, 0, 0)))
    with pytest.raises(InputError, match='one shape'):
        viewer_of(volume, other=np.zeros((4, 5, 7)))
    with pytest.raises(InputError, match='DVF has the shape'):
        viewer_of(volume, dvf=np.zeros((4, 5, 6)))
    with pytest.raises(InputError, match='three values'):
        viewer_of(volume, dvf=volume)
    with pytest.raises(UnknownNameError, match='blend'):
        viewer_of(volume, other=volume, mode='blent')
