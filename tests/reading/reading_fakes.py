"""A small made-up world for the tests of the reader: images whose values say where they come from."""

import os
import signal
from collections import namedtuple

import numpy as np

Item = namedtuple('Item', 'im deformed_im dvf mask lung spacing im_info')
DEFAULT = -2048


def im_infos(n, stage=4):
    return [
        {
            'data': 'Phantom_4D',
            'type_im': 0,
            'cn': i + 1,
            'deform_exp': '3D_max20_D14_K',
            'dsmooth': 0,
            'deform_method': 'respiratory_motion',
            'deform_number': 0,
            'stage': stage,
        }
        for i in range(n)
    ]


def a_setting(**changes):
    setting = {
        'stage': 4,
        'R': 5,
        'Ry': 2,
        'Margin': 3,
        'ClassBalanced': [2.0, 7.0],
        'LeadIn': False,
        'NetworkTraining': {
            'NumberOfImagesPerChunk': 3,
            'SamplesPerImage': 8,
            'BatchSize': 5,
            'MaxQueueSize': 4,
            'LungWeight': 4.0,
        },
        'NetworkValidation': {'NumberOfImagesPerChunk': 2, 'SamplesPerImage': 6, 'BatchSize': 4, 'MaxQueueSize': 3},
    }
    for key, value in changes.items():
        if key in ('NetworkTraining', 'NetworkValidation'):
            setting[key] = dict(setting[key], **value)
        else:
            setting[key] = value
    return setting


def shape_of(im_info):
    """(z, y, x): never a cube, another one for every case."""
    return (13 + im_info['cn'] % 3, 15 + im_info['cn'] % 2, 18)


def make_item(setting, im_info, write=None):
    """Random but repeatable; im and deformed_im hold distinct values, so that a patch can be recognised."""
    shape = im_info.get('shape', shape_of(im_info))
    state = np.random.RandomState(im_info['cn'])
    voxels = int(np.prod(shape))
    im = (state.permutation(voxels) % 3000 - 1000).astype(np.int16).reshape(shape)
    deformed = (state.permutation(voxels) % 3000 - 1000).astype(np.int16).reshape(shape)
    dvf = state.uniform(-7, 7, shape + (3,)).astype(np.float32)
    mask = np.zeros(shape, np.uint8)
    mask[1:-1, 2:-1, 1:-2] = 1
    lung = (state.uniform(size=shape) > 0.5).astype(np.uint8)
    return Item(im, deformed, dvf, mask, lung, (4.0, 4.0, 4.0), im_info)


def failing(setting, im_info, write=None):
    """Fails at case 4."""
    if im_info['cn'] == 4:
        raise OSError('no space left for the fourth one')
    return make_item(setting, im_info)


def fatal(folder, deaths, setting, im_info, write=None):
    """Kills its process the first times that case 4 is made."""
    for number in range(deaths if im_info['cn'] == 4 else 0):
        path = os.path.join(folder, str(number))
        if not os.path.exists(path):
            open(path, 'w').close()
            os.kill(os.getpid(), signal.SIGKILL)
    return make_item(setting, im_info)


def endless(pipe, setting, im_info, write=None):
    """Says in a pipe that a process makes items, and never ends; while it lives the pipe is open."""
    with open(pipe, 'w') as stream:
        stream.write('x')
        stream.flush()
        while True:
            signal.pause()


def same_batch(a, b):
    """True when two batches are equal bit for bit."""
    return (
        a.items == b.items
        and a.position == b.position
        and (a.semi_epoch, a.chunk) == (b.semi_epoch, b.chunk)
        and all(x.shape == y.shape and x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a[:3], b[:3]))
    )
