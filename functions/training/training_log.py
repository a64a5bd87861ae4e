"""The records of a training run: text log, JSON lines, TensorBoard and training curve."""

import json
import logging
import os

import numpy as np

from ..setting import setting_utils as su
from ..setting.atomic import disk_errors, publish
from ..setting.kinds import TEXT, whole
from ..setting.text_files import read_json_lines
from ..tf_utils.summaries import SummaryWriter

_LINE = {'iteration': whole(0), 'kind': TEXT}


class TrainingLog:
    """The records of one experiment; while it is open, log messages also go to ``log.txt`` (``LogFile``).

    :param state: of the training: 'samples' and 'validation_pending'; see :meth:`keep_until`.
    :param graph: shown in TensorBoard.
    """

    def __init__(self, setting, state, graph):
        folder = su.address_generator(setting, 'ModelFolder')
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, 'log.jsonl')
        self.curve_path = os.path.join(folder, 'Plots', 'training_curve.png')
        # Once all files can be written, that of the reader too, an earlier training may be given up.
        for path in (self.path, su.address_generator(setting, 'log_im_file')):
            open(path, 'a').close()  # noqa: SIM115
        self._stream = None
        self._handler = logging.FileHandler(su.address_generator(setting, 'LogFile'), encoding='utf-8')
        first = state['samples'] + 1
        self._train = _summary_writer(su.address_generator(setting, 'summary_train'), first, graph)
        first -= bool(state.get('validation_pending'))
        self._validation = _summary_writer(su.address_generator(setting, 'summary_validation'), first)
        self._handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(message)s'))
        self._handler.handleError = lambda record: None  # a full disk is reported by what must be written
        logging.getLogger().addHandler(self._handler)

    def keep_until(self, state):
        """Begin to write JSON lines; those after a state are removed, and its validation if that is still pending."""
        iteration = state['iteration']
        kept = [line for line in read_json_lines(self.path, _LINE) if line['iteration'] <= iteration]
        if state.get('validation_pending'):
            kept = [line for line in kept if line['iteration'] < iteration or line['kind'] != 'validation']
        with publish(self.path) as temporary, open(temporary, 'w', encoding='utf-8') as stream:
            stream.writelines(_json_line(line) for line in kept)
        self._stream = open(self.path, 'a', encoding='utf-8')  # noqa: SIM115 (closed with the log)

    def train(self, iteration, step, values):
        """Write averages since the last line; ``step`` is the number of samples seen, TensorBoard's axis."""
        self._line(dict(values, kind='train', iteration=iteration, step=step))
        self._train.scalars(values, step)

    def validation(self, iteration, step, values):
        """Write averages over a validation pass."""
        self._line(dict(values, kind='validation', iteration=iteration, step=step))
        self._validation.scalars(values, step)
        draw_curve(read_json_lines(self.path, _LINE), self.curve_path)

    def _line(self, line):
        self._stream.write(_json_line(line))
        self._stream.flush()

    def images(self, images, truth, step, prediction, feature_maps=None):
        """Write middle slices of the middle sample: both images, what is true and predicted, and the difference (mm).

        :param images: [n, z, y, x, 2]. :param truth, prediction: [n, z, y, x, 3], DVFs, or [n, z, y, x, 1], lengths.
        :param feature_maps: the summary of ``DetailedNetworkSummary``, or None.
        """
        sample = len(images) // 2
        images = images[sample]
        middle = images.shape[0] // 2
        self._validation.image('Fixed_Images', images[middle, ..., 1], -1000.0, 400.0, step)
        self._validation.image('Moving_Images', images[middle, ..., 0], -1000.0, 400.0, step)
        truth, predicted = truth[sample], prediction[sample]
        middle = truth.shape[0] // 2
        limit = max(1.0, float(np.abs(truth[middle]).max()))
        for component, letter in enumerate('XYZ' if truth.shape[-1] == 3 else ['Error']):
            for tag, field in (('GroundTruth_', truth), ('RegNet_', predicted), ('Difference_', predicted - truth)):
                self._validation.image(tag + letter, field[middle, ..., component], -limit, limit, step)
        if feature_maps is not None:
            self._validation.write(feature_maps, step)

    def close(self):
        """Draw the curve and close all files."""
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        if self._stream is not None:
            self._stream.close()
            draw_curve(read_json_lines(self.path, _LINE), self.curve_path)
        self._train.close()
        self._validation.close()


def _summary_writer(folder, *how):
    with disk_errors(folder):
        return SummaryWriter(folder, *how)


def _json_line(line):
    return json.dumps(line, sort_keys=True) + '\n'


def draw_curve(lines, path):
    """Write a PNG: loss and mean error against iterations, from the dictionaries ``lines`` of the log."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=120)
    FigureCanvasAgg(figure)
    for place, (key, label) in enumerate((('loss', 'loss'), ('error_mm', 'mean error of the DVF [mm]'))):
        axes = figure.add_subplot(1, 2, place + 1)
        for kind, style in (('train', {'lw': 1, 'alpha': 0.7}), ('validation', {'lw': 2, 'marker': 'o', 'ms': 3})):
            points = [(line['iteration'], line[key]) for line in lines if line['kind'] == kind and key in line]
            if points:
                axes.plot(*zip(*points), label=kind, **style)
        axes.set_xlabel('iteration')
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(frameon=False)
    figure.tight_layout()
    with publish(path) as temporary:
        figure.savefig(temporary, format='png')
