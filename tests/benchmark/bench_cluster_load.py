"""What a million items cost besides the work itself: seconds to list, to plan, to look whether all are finished and to
report, and peak memory.

Items are fake: their files are empty, but names, folders and manifests are those of artificial generation, and what is
timed is what ``--submit`` and ``--status`` call. From the repository's folder:

    python -m tests.benchmark.bench_cluster_load --items 10000 --parts 100 [--folder FOLDER]
"""

import argparse
import os
import resource
import stat
import sys
import tempfile
import time
from unittest import mock

import numpy as np
import SimpleITK as sitk

from functions.artificial_generation import batch, item_files
from functions.artificial_generation.item_specification import ItemSpecification
from functions.cluster import jobs, slurm
from functions.image.manifest import file_state, write_manifest
from functions.setting import setting_utils as su
from functions.setting.parts import take_part

ITEMS_PER_IMAGE = 10000


def make_setting(folder, count):
    """Setting of ``count`` items of tiny images that lie in ``folder``."""
    setting = su.initialize_setting('Load', where_to_run='Root')
    setting.update(RootFolder=folder, DataFolder=folder + 'Data/', log_root_folder=folder + 'Experiments/', stage=1)
    images = -(-count // ITEMS_PER_IMAGE)
    setting['OwnDataSets'] = {'Load': {'cases': images, 'types': ['scan']}}
    lists = {'CNList': list(range(1, images + 1)), 'TypeImList': [0], 'DeformedImExt': ['Clean', 'Noise']}
    lists['DSmoothList'] = list(range(min(count, ITEMS_PER_IMAGE)))
    # Without next images: a manifest an item.
    setting['deform_exp'] = {'Load': {'NextIm_MaxDeform': 0}}
    one = {'data': 'Load', 'deform_exp': 'Load'}
    one.update({f'{mode}{name}': value for mode in batch.MODES for name, value in lists.items()})
    one['ValidationCNList'] = []
    su.load_setting_from_data_dict(setting, [one])
    tiny = sitk.GetImageFromArray(np.ones((2, 2, 2), np.uint8))
    for cn in lists['CNList']:
        for request in ('OriginalIm', 'OriginalLung', 'OriginalTorso'):
            path = su.address_generator(setting, request, data='Load', type_im=0, cn=cn, stage=1)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            sitk.WriteImage(tiny, path)
    return setting


def finish(spec):
    """Empty files of an item, and its manifest."""
    manifest, outputs = item_files.manifest_path(spec), []
    for path in item_files.item_paths(spec).values():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, 'wb').close()
        size, mtime = file_state(path)
        relative = os.path.relpath(path, os.path.dirname(manifest))
        outputs.append({'path': relative, 'bytes': size, 'mtime_ns': mtime, 'checksum': 'none'})
    write_manifest(manifest, spec.made_from(), item_files.FORMAT_NUMBER, outputs)
    return len(outputs) + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--items', type=int, default=10000)
    parser.add_argument('--parts', type=int, default=100)
    parser.add_argument('--folder', help='where the fake items are made and removed again')
    arguments = parser.parse_args()
    count, parts = arguments.items, range(1, arguments.parts + 1)

    def timed(name, work):
        start = time.perf_counter()
        result = work()
        spent = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2.0**20
        print(f'{name:32} {spent:10.2f} s {1e6 * spent / count:10.1f} us/item {memory:8.2f} GiB', flush=True)
        return result

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        setting = make_setting(folder + '/', count)
        items = timed('list', lambda: batch.list_items(setting, ['Training'], 1))[:count]
        with mock.patch('os.fsync'):  # fake items need not survive a power cut
            files = timed('make fake items', lambda: sum(finish(ItemSpecification(setting, item)) for item in items))
        print(f'{len(items)} items, {files} files')
        done = timed('which are finished', lambda: batch.finished_items(setting, ['Training'], 1))
        assert sum(done) == len(items)
        timed('which parts are not', lambda: [k for k in parts if not all(take_part(done, (k, arguments.parts)))])
        # A scheduler that has as many tasks as there are items.
        with open(os.path.join(folder, 'queue'), 'w') as stream:
            stream.writelines(f'7|{number}|PENDING\n' for number in range(1, count + 1))
        program = os.path.join(folder, 'squeue')
        with open(program, 'w') as stream:
            stream.write(f'#!/bin/sh\ncat {folder}/queue\n')
        os.chmod(program, stat.S_IRWXU)
        os.environ['PATH'] = folder + os.pathsep + os.environ['PATH']
        record = {'manager': 'SLURM', 'count': count, 'jobs': {str(part): '7' for part in range(1, count + 1)}}
        states = timed('states of as many tasks', lambda: jobs.states_of({'generate': record}, slurm.SLURM))
        assert len(states) == count
        if sys.stdout.isatty():
            print('removing the fake items ...')


if __name__ == '__main__':
    main()
