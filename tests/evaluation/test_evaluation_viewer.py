"""The volume viewer: aspect, order of slices, the mouse wheel."""
import numpy as np
import pytest
from evaluation_images import image_of
from matplotlib import pyplot
from matplotlib.backend_bases import MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from functions.evaluation.viewer import SliceViewer, slice_aspect, view3d_image
from functions.setting.errors import InputError


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
        assert viewer.axes.get_xlabel() == 'slice {}'.format(expected)
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
