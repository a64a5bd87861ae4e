"""What many items cost besides the work itself: seconds to plan, to look whether all are finished, and to report.

python -m tests.benchmark.bench_cluster_load --items 10000 --parts 100
"""

import argparse
import os
import stat
import tempfile
import time

from functions.cluster import slurm
from functions.image.manifest import check_manifest, file_state, write_manifest
from functions.setting.parts import take_part

PER_FOLDER = 1000


def make(folder, number):
    """A fake item: one small file and its manifest; returns the path of the manifest."""
    place = os.path.join(folder, str(number // PER_FOLDER))
    os.makedirs(place, exist_ok=True)
    path = os.path.join(place, f'{number}.raw')
    with open(path, 'wb') as stream:
        stream.write(b'voxels')
    size, mtime = file_state(path)
    output = {'path': os.path.basename(path), 'bytes': size, 'mtime_ns': mtime, 'checksum': 'none'}
    manifest = os.path.join(place, f'{number}.json')
    write_manifest(manifest, {'number': number}, 1, [output])
    return manifest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--items', type=int, default=10000)
    parser.add_argument('--parts', type=int, default=100)
    arguments = parser.parse_args()
    seconds, count = {}, arguments.items

    def timed(name, work):
        start = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - start
        return result

    with tempfile.TemporaryDirectory() as folder:
        manifests = timed('make fake items', lambda: [make(folder, number) for number in range(count)])
        numbers = range(1, arguments.parts + 1)
        timed('plan: divide into parts', lambda: [take_part(range(count), (k, arguments.parts)) for k in numbers])
        done = timed(
            'resume: check all manifests',
            lambda: [check_manifest(path, {'number': number}, 1)[0] for number, path in enumerate(manifests)],
        )
        assert all(done)
        # A scheduler that has as many tasks as there are items.
        with open(os.path.join(folder, 'queue'), 'w') as stream:
            stream.writelines(f'7|{number}|PENDING\n' for number in range(1, count + 1))
        program = os.path.join(folder, 'squeue')
        with open(program, 'w') as stream:
            stream.write(f'#!/bin/sh\ncat {folder}/queue\n')
        os.chmod(program, stat.S_IRWXU)
        os.environ['PATH'] = folder + os.pathsep + os.environ['PATH']
        assert len(timed('report: states of as many tasks', lambda: slurm.states({'7'}))) == count
    for name, spent in seconds.items():
        print(f'{name:32} {spent:10.2f} s {1e6 * spent / count:10.1f} us/item')


if __name__ == '__main__':
    main()
