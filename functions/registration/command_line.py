"""The commands that register files and apply the results: --register, --pairs, --apply. Imports nothing heavy
by itself."""

import logging
import os

from functions.setting import setting_utils as su
from functions.setting.errors import InputError, MissingFileError, RegNetError
from functions.setting.schema import STAGE_LISTS

LOGGER = logging.getLogger(__name__)

COMMANDS = ('register', 'pairs', 'apply')
_SUBJECTS = ('image', 'labels', 'points')
_MASKS = ('fixed_lung', 'fixed_torso', 'moving_lung', 'moving_torso')


def add_arguments(parser):
    """Add the options of the three commands to an argparse parser."""
    group = parser.add_argument_group('register your own images')
    group.add_argument(
        '--register',
        nargs=2,
        metavar=('FIXED', 'MOVING'),
        help='register two CT scans: .mha, .mhd, .nii, .nii.gz, .nrrd or folders with a DICOM series',
    )
    group.add_argument(
        '--pairs',
        metavar='CSV',
        help='register a list of pairs: columns fixed, moving, and if wanted name, ' + ', '.join(_MASKS),
    )
    group.add_argument('--output', metavar='PATH', help='folder of the results; with --apply the file to write')
    group.add_argument(
        '--model',
        nargs='+',
        metavar='FOLDER',
        help='experiments whose networks are used, '
        'one per stage, or the name of a set; default: chest, the set that comes with '
        'the project',
    )
    group.add_argument(
        '--stages',
        nargs='+',
        type=int,
        metavar='N',
        help='pyramid, e.g. 4 2 1, or 4 4 2 1 for two passes of stage 4; default: as the set says, else every stage '
        'there is a model for',
    )
    group.add_argument(
        '--affine',
        metavar='none|elastix|sitk|FILE',
        help='affine registration before the networks; default: elastix where it is installed, else sitk',
    )
    for name in _MASKS:
        group.add_argument('--' + name, metavar='FILE', help='mask; made from the HU where it is needed and not given')
    group.add_argument(
        '--input_mask',
        default='model',
        choices=['model', 'Lung', 'Torso', 'none'],
        help='mask outside which the networks see nothing; default: as in their training',
    )
    group.add_argument(
        '--composition',
        default='exact',
        choices=['exact', 'additive'],
        help='how the fields of the stages are put together; additive as in the published code',
    )
    group.add_argument(
        '--isotropic', action='store_true', help='results at 1 mm instead of on the grid of the fixed image'
    )
    group.add_argument('--diffeomorphic', action='store_true', help='take folding out of the field')
    group.add_argument(
        '--inverse',
        action='store_true',
        help='also write the inverse field; with --apply: from the fixed to the moving image',
    )
    group.add_argument('--overwrite', action='store_true', help='replace results that are there')
    group.add_argument('--memory', type=float, metavar='GB', help='memory for one pass through a network')
    group = parser.add_argument_group('apply results to something else')
    group.add_argument('--apply', metavar='RESULTS', help='folder of a finished registration')
    group.add_argument('--image', metavar='FILE', help='image in the space of the moving one')
    group.add_argument('--labels', metavar='FILE', help='segmentation in the space of the moving image')
    group.add_argument(
        '--points',
        metavar='FILE',
        help='points in the fixed image (with --inverse: in the moving one): DIR-Lab, elastix, CSV, .fcsv, .mrk.json',
    )
    group.add_argument(
        '--points_format', metavar='NAME', help='where it cannot be told: dirlab, elastix_index, elastix_point'
    )
    group.add_argument('--interpolator', default='linear', choices=['linear', 'bspline'], help='for --image')


def asked(arguments):
    """The one command of a command line, or None when it asks for none.

    :raises InputError: several, or options that belong to another one.
    """
    given = [name for name in COMMANDS if getattr(arguments, name) is not None]
    if len(given) > 1:
        raise InputError('{} exclude each other; give one of them.'.format(' and '.join('--' + name for name in given)))
    subjects = [name for name in _SUBJECTS if getattr(arguments, name) is not None]
    if subjects and given != ['apply']:
        raise InputError(f'--{subjects[0]} goes with --apply RESULTS.')
    if given == ['apply'] and len(subjects) != 1:
        raise InputError('--apply needs one of --image, --labels and --points.')
    if given in (['register'], ['pairs']) and not arguments.output:
        raise InputError(f'--{given[0]} needs --output FOLDER for the results.')
    return given[0] if given else None


def run(arguments):
    """Carry out the command of a command line (see :func:`asked`).

    :raises RegNetError: what is wrong with it, in one sentence; with --pairs after all pairs were tried.
    """
    {'register': _register, 'pairs': _pairs, 'apply': _apply}[asked(arguments)](arguments)


def find_models(stages, where_to_run=None):
    """Folders of trained networks in Experiments/RegNet/: dictionary stage -> folder.

    :param stages: stages wanted; None: every stage there is one for.
    :raises InputError: none, several for a stage, or no pyramid that they make up.
    """
    from functions.registration.network_pyramid import trained_models

    root = su.root_address_generator(where_to_run or 'Auto')['log_root_folder'] + 'RegNet'
    found = trained_models(root)
    for stage in sorted(found) if stages is None else stages:
        if len(found.get(stage, [])) != 1:
            raise InputError(
                '{} holds {} for stage {}; name the one to use with --model FOLDER{}.'.format(
                    os.path.abspath(root),
                    'several models ({})'.format(', '.join(found[stage])) if stage in found else 'no model',
                    stage,
                    '' if found else ' or train one (python RunRegNet3D.py)',
                )
            )
    if not found:
        raise InputError(
            f'{os.path.abspath(root)} holds no trained model; train one (python RunRegNet3D.py) or name one with '
            '--model FOLDER.'
        )
    folders = {stage: folders[0] for stage, folders in found.items() if stages is None or stage in stages}
    if stages is None and sorted(folders, reverse=True) not in STAGE_LISTS:
        raise InputError(
            '{} holds models for the stages {}, which are no pyramid; choose with --stages.'.format(
                os.path.abspath(root), ', '.join(map(str, sorted(folders, reverse=True)))
            )
        )
    return folders


def _options(arguments):
    return {
        'affine': arguments.affine,
        'input_mask': arguments.input_mask,
        'composition': arguments.composition,
        'grid': 'isotropic' if arguments.isotropic else 'native',
        'diffeomorphic': arguments.diffeomorphic,
    }


def _model(arguments):
    """(model, stages, threads, memory in bytes) for
    :func:`functions.registration.network_pyramid.open_model`."""
    memory = None if arguments.memory is None else arguments.memory * 1e9
    if memory is not None and not memory > 0:
        raise InputError(f'--memory {arguments.memory:g} is not possible; give GB, above 0.')
    model = arguments.model
    if model is None:
        from functions.registration.network_pyramid import DEFAULT_SET, named_set

        model = DEFAULT_SET if named_set(DEFAULT_SET) else find_models(arguments.stages, arguments.where_to_run)
    return model, arguments.stages, arguments.threads, memory


def _register(arguments):
    from functions.registration import pair_lists
    from functions.registration.network_pyramid import open_model

    fixed, moving = arguments.register
    masks = {name: getattr(arguments, name) for name in _MASKS if getattr(arguments, name) is not None}
    # What is told by a look at the disk is told before the networks are opened.
    for path in [fixed, moving] + list(masks.values()):
        if not os.path.exists(path):
            raise MissingFileError(f'{path} does not exist.')
    with open_model(*_model(arguments)) as model:
        found, record = pair_lists.register_into(
            arguments.output,
            fixed,
            moving,
            model,
            masks,
            arguments.inverse,
            arguments.overwrite,
            arguments.threads,
            **_options(arguments),
        )
    if found is None:
        LOGGER.info(
            '%s holds the results of just this already; nothing was done (--overwrite makes them anew)',
            arguments.output,
        )
    else:
        LOGGER.info('Results in %s; transformix takes %s', arguments.output, record['transformix'])


def _pairs(arguments):
    from functions.registration import pair_lists

    given = ['--' + name for name in _MASKS if getattr(arguments, name) is not None]
    if given:
        raise InputError(f'{given[0]} is for --register; with --pairs masks are columns of the CSV file.')
    pairs = pair_lists.read_pairs(arguments.pairs)
    outcomes = pair_lists.register_pairs(
        pairs,
        arguments.output,
        *_model(arguments),
        inverse=arguments.inverse,
        overwrite=arguments.overwrite,
        **_options(arguments),
    )
    failed = [outcome for outcome in outcomes if outcome.state == 'failed']
    if failed:
        raise RegNetError(
            '{} of {} pairs failed, the others are done: {}'.format(
                len(failed), len(outcomes), '; '.join(f'{outcome.name}: {outcome.reason}' for outcome in failed)
            )
        )


def _apply(arguments):
    from functions.registration import apply

    common = {'output': arguments.output, 'overwrite': arguments.overwrite}
    if arguments.points is not None:
        apply.apply_to_points(
            arguments.apply,
            arguments.points,
            direction=apply.DIRECTIONS[arguments.inverse],
            file_format=arguments.points_format,
            **common,
        )
    elif arguments.labels is not None:
        apply.apply_to_labels(arguments.apply, arguments.labels, inverse=arguments.inverse, **common)
    else:
        apply.apply_to_image(
            arguments.apply, arguments.image, interpolator=arguments.interpolator, inverse=arguments.inverse, **common
        )
