"""``docs/performance.md``: the benchmarks' own output, with the machine, the date and the versions.

    python -m tests.benchmark.performance_page --folder FOLDER [--only costs generation ...]

runs the benchmarks one after the other and writes the page. FOLDER keeps what each of them printed; what is there is
not run again.
"""

import argparse
import collections
import os
import platform
import subprocess
import sys
import time

from functions.setting.atomic import write_text

PAGE = os.path.join('docs', 'performance.md')
Section = collections.namedtuple('Section', 'title text module words')
SECTIONS = collections.OrderedDict(
    costs=Section(
        'What things cost',
        'Generation by one process; all on two threads. The moving image of a pair is a phantom that has breathed out; '
        'its masks are made, and the affine registration is by elastix where it is on the PATH.',
        'bench_costs',
        '',
    ),
    registration=Section(
        'A registration against elastix',
        'The same pair, lung masks and affine transform; `unet1` at every stage. Limits are shares of the time of '
        "elastix's B-spline of three resolutions.",
        'bench_registration',
        '',
    ),
    memory=Section('Memory of registrations', '', 'bench_registration', '--memory'),
    precision=Section('bfloat16', 'See [Register and judge](register.md).', 'bench_precision', ''),
    network=Section(
        'Networks',
        "The share of the machine's rate of matrix products, and the time of a graph built as the published one.",
        'bench_network',
        '',
    ),
    generation=Section(
        'Artificial generation',
        'Time in yardsticks: one is the resampling of the image by a field, with B-spline interpolation.',
        'bench_generation',
        '',
    ),
    reading=Section('Reading', 'On one core, beside a plain implementation.', 'bench_reading', ''),
    load=Section(
        'Many items',
        'Fake items with the names, folders and manifests of real ones: what it costs to plan, to look what is '
        'finished and to ask a scheduler. [Plans for many items](scaling.md).',
        'bench_cluster_load',
        '--items 1000000 --parts 1000',
    ),
)
INTRODUCTION = """# Performance
How long things take and how much memory they need, as the benchmarks measured it on one machine. Compare ratios, which
belong to one run; seconds depend on the machine and on what else it does. To measure yours and write this page anew,
with elastix on the PATH:

```
.venv/bin/python -m tests.benchmark.performance_page --folder FOLDER
```
"""


def machine():
    """Lines of a table: processor, cores, memory, versions."""
    import SimpleITK as sitk

    from functions.tf_utils.backend import tf

    model = platform.processor()
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo', encoding='utf-8') as stream:
            names = [line.partition(':')[2].strip() for line in stream if line.startswith('model name')]
        model = names[0] if names else model
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2.0**30
    return [
        f'processor {model}, {os.cpu_count()} cores, {memory:.0f} GB',
        f'Python {platform.python_version()}, TensorFlow {tf.version.VERSION}, '
        f'SimpleITK {sitk.Version_VersionString()}, {platform.system()}',
    ]


def measured(name, folder):
    """What the benchmark ``name`` printed, as it is kept in ``folder``; it runs unless it is there."""
    path, section = os.path.join(folder, name + '.txt'), SECTIONS[name]
    if not os.path.exists(path):
        words = [sys.executable, '-m', 'tests.benchmark.' + section.module] + section.words.split()
        print(f'{name} ...', flush=True)
        done = subprocess.run(words, capture_output=True, text=True)
        if not done.stdout.strip():
            raise SystemExit(f'{" ".join(words)} printed nothing:\n{done.stderr}')
        busy = os.getloadavg()[0]
        header = [time.strftime('%Y-%m-%d'), f'load of the machine at the end {busy:.1f}', *machine()]
        write_text(path, '; '.join(header) + '\n' + done.stdout)
    with open(path, encoding='utf-8') as stream:
        return stream.readline().strip(), stream.read().strip('\n')


def page(folder, names):
    """Text of the page."""
    parts = [INTRODUCTION]
    for name in names:
        section, (when, printed) = SECTIONS[name], measured(name, folder)
        command = f'`python -m tests.benchmark.{section.module}{" " + section.words if section.words else ""}`'
        table = printed if printed.startswith('|') else f'```\n{printed}\n```'
        parts.append(
            '\n\n'.join(part for part in (f'## {section.title}', section.text, table, f'{command}, {when}.') if part)
        )
    return '\n\n'.join(part.strip('\n') for part in parts) + '\n'


def main():
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--folder', required=True, help='keeps what the benchmarks printed')
    parser.add_argument('--only', nargs='+', choices=list(SECTIONS), default=list(SECTIONS))
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    write_text(PAGE, page(arguments.folder, arguments.only))
    print(f'{PAGE} is written; what was measured is in {arguments.folder}.')


if __name__ == '__main__':
    main()
