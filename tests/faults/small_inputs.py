"""Small scans and a small model, as files for the commands, and what a tree of results holds."""

import hashlib
import json
import os
import re
import socket
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path += [os.path.join(REPOSITORY, 'tests', name) for name in ('registration', 'training')]

#: What differs between two runs of the same: times, and where they were.
_VARYING = ('seconds', 'mtime_ns', 'started', 'commit', 'time')


def make_inputs(folder):
    """Two scans of different grids, their lungs and a model of stage 4 below ``folder``."""
    import SimpleITK as sitk
    from model_folders import make_model
    from oracle import chest_image, grid_image

    for name, spacing, seed in (('fixed', (1.3, 1.1, 2.3), 0), ('moving', (1.2, 1.2, 2.0), 1)):
        image, lung = chest_image(grid_image((40, 46, 24), spacing), seed)
        sitk.WriteImage(image, os.path.join(folder, name + '.nii.gz'))
        sitk.WriteImage(lung, os.path.join(folder, name + '_lung.nrrd'))
    make_model(os.path.join(folder, 'Experiments'))


def register_words(folder, output, *more, moving='moving.nii.gz'):
    """The words of --register for :func:`make_inputs`, into ``output``."""
    files = [os.path.join(folder, name) for name in ('fixed.nii.gz', moving)]
    # Any other image lies on the grid of the fixed one.
    lung = 'moving_lung.nrrd' if moving == 'moving.nii.gz' else 'fixed_lung.nrrd'
    masks = [os.path.join(folder, name) for name in ('fixed_lung.nrrd', lung)]
    model = os.path.join(folder, 'Experiments', 'RegNet', 'tiny')
    words = ['--register', *files, '--output', str(output), '--model', model, '--affine', 'none', '--threads', '1']
    return words + ['--fixed_lung', masks[0], '--moving_lung', masks[1], '--keep_all_stages', *more]


def work_in(words):
    """A command that claims a folder and ends."""
    from functions.image.claim import claim_folder

    with claim_folder(words[0]):
        print('worked')


def main_offline(words):
    """RunRegNet3D in a process that ends with exit code 97 when Python asks for a connection or an address."""
    import RunRegNet3D

    def end(*_, **__):
        os._exit(97)

    for name in ('connect', 'connect_ex', 'bind', 'sendto', 'sendmsg'):
        setattr(socket.socket, name, end)
    socket.getaddrinfo = socket.gethostbyname = end
    return socket.create_connection(('127.0.0.1', 9)) if words == ['connect'] else RunRegNet3D.main(words)


def export_to(words):
    """A command that exports an experiment into a folder."""
    from functions.training.export import export

    export(*words)


def tree(folder, here=None):
    """Relative path -> what a file holds, apart from times and from the name of ``folder`` itself."""
    found = {}
    for place, folders, names in os.walk(str(folder)):
        for name in names + [name for name in folders if not os.listdir(os.path.join(place, name))]:
            path = os.path.join(place, name)
            found[os.path.relpath(path, str(folder))] = _content(path, str(here or folder))
    return found


def _content(path, folder):
    if os.path.isdir(path):
        return 'empty folder'
    with open(path, 'rb') as stream:
        content = stream.read()
    if path.endswith(('.json', '.jsonl')):
        lines = [content] if path.endswith('.json') else content.splitlines()
        found = [json.loads(line.decode()) for line in lines]
        for one in found:
            if isinstance(one, dict):
                one.pop('checksum', None)  # of times too
        return json.dumps([_without_times(one) for one in found]).replace(folder, '')
    if path.endswith('.txt'):
        # Their checksum is one of paths too.
        return re.sub(r'\n// checksum .*', '', content.decode()).replace(folder, '')
    return hashlib.blake2b(content).hexdigest()


def _without_times(value):
    if isinstance(value, dict):
        return {
            key: _without_times(item)
            for key, item in value.items()
            if key not in _VARYING and not str(value.get('path')).endswith(('.txt', '.json', '.h5'))
        }
    return [_without_times(item) for item in value] if isinstance(value, list) else value
