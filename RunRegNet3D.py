"""RegNet from one command: images in, artificial deformations, a trained network, a registered pair, its error in mm.

    python RunRegNet3D.py

Run unedited, it makes breathing thoraxes of its own, trains ``unet1`` at stage 4 on artificial deformations of some of
them, registers one it has never seen and prints how far the landmarks are off before and after. Edit the block below
for your own data; every setting in it can also be overridden on the command line (``--help``).
"""

import argparse
import logging
import os
import sys

import functions.setting.setting_utils as su
from functions.evaluation import command_line as evaluation_commands
from functions.registration import command_line as registration_commands
from functions.setting.errors import InputError, RegNetError, unknown_name


def settings_block(arguments, changes=None):
    """The settings a person edits.

    :param arguments: the command line, which comes first where it says something.
    :param changes: a dictionary of settings that replace those of the block (``--setting FILE``), or None.
    """
    changes = dict(changes or {})
    stage = arguments.stage or changes.get('stage', 4)
    network = arguments.network or changes.get('NetworkDesign', 'unet1')
    experiment = arguments.experiment or changes.get('current_experiment', f'phantom_{network}_S{stage}')
    setting = su.initialize_setting(experiment, arguments.where_to_run or changes.get('where_to_run', 'Auto'))
    for key in ('stage', 'NetworkDesign', 'current_experiment', 'where_to_run'):
        changes.pop(key, None)  # the command line comes first

    # ---- what is trained: the down-sampling factor (4, 2 or 1: voxel size in mm of that level) is the default above
    setting['stage'] = stage
    setting['normalization'] = 'lung'  # HU shifted and scaled to about -1 .. 1; None feeds HU, as published
    setting['InputMask'] = 'Lung'  # the network sees the lungs only: ribs and skin do not move with them
    setting['DVFUnit'] = 'voxel'  # the network predicts voxels of its stage; results are always in mm
    setting['SpongeModel'] = 'physical'  # lung density follows the volume change; 'published' divides HU
    setting['NetworkTraining'].update(
        {
            'NumberOfImagesPerChunk': 84,
            'SamplesPerImage': 1,
            'BatchSize': 2,
            'MaxQueueSize': 20,
            'MaxIterations': 1200,
            'LearningRate_Base': 2e-3,
            'LearningRate_Schedule': 'cosine',
            'LungWeight': 20.0,
            'ValidationInterval': 400,
        }
    )
    setting['NetworkValidation'].update({'NumberOfImagesPerChunk': 12, 'SamplesPerImage': 1, 'BatchSize': 4})

    # ---- artificial deformations: the experiment of the stage, and its categories ('Resp', 'NoResp', 'SingleOnly' ...)
    setting['AGMode'] = changes.get('AGMode', 'Resp')
    suggested = su.suggested_stage_setting(stage, setting['AGMode'])
    deform_exp = suggested['deform_exp']
    dsmooth_training, dsmooth_validation = su.dsmoothlist_by_deform_exp(deform_exp, setting['AGMode'])

    # ---- images: cases 1-8 of the phantom train, case 9 is never seen; fixed = T00 (inhale), moving = T50 (exhale)
    setting['Phantom'].update({'Size': [212, 148, 180]})
    data_exp_dict = [
        {
            'data': 'Phantom_4D',
            'deform_exp': deform_exp,
            'TrainingCNList': [1, 2, 3, 4, 5, 6, 7, 8],
            'TrainingTypeImList': [0, 5],
            'TrainingDSmoothList': su.repeat_dsmooth_numbers(dsmooth_training, deform_exp, 3),
            'TrainingDeformedImExt': ['Clean', 'Sponge', 'Noise'],
            'ValidationCNList': [1, 3, 5, 7],
            'ValidationTypeImList': [2],
            'ValidationDSmoothList': dsmooth_validation,
            'ValidationDeformedImExt': ['Clean', 'Sponge', 'Noise'],
            'TestingCNList': [9],
            'TestingPairList': [[0, 5]],
            'TestingSpacing': 'RS1',
        }
    ]
    # The phantom is small here: with the published border of two control points nothing of the coarse grids would be
    # left, and its new shapes (NextIm) are to stay thoraxes.
    small = {
        'SingleFrequency_SetGridBorderToZero': [[1, 1, 1]] * 5,
        'RespiratoryMotion_SetGridBorderToZero': [[1, 1, 1]] * 5,
        'NextIm_MaxDeform': 8,
    }

    # ---- registration: the pyramid, and which experiment's network works at which stage ('Last': newest checkpoint)
    setting['BaseReg'] = 'Identity'  # no affine registration before the network
    su.load_registration_setting(setting, changes.get('stage_list', changes.get('ImagePyramidSchedule', [stage])))
    setting['network_dict'] = {
        f'stage{stage}': {'NetworkDesign': network, 'NetworkLoad': experiment, 'GlobalStepLoad': 'Last', 'stage': stage}
    }

    # ---- nothing to edit below
    replace(setting, changes)
    su.load_setting_from_data_dict(setting, changes.get('DataExpDict', data_exp_dict))
    for name in changes.get('deform_exp', {}):
        if name not in setting['DeformExpList']:
            raise unknown_name('deformation experiment of DataExpDict', name, setting['DeformExpList'])
    for name in setting['DeformExpList']:
        if 'DataExpDict' not in changes:
            setting['deform_exp'][name].update(small)
        replace(setting['deform_exp'][name], changes.get('deform_exp', {}).get(name, {}))
    su.load_network_setting(setting, network)
    replace(setting, {key: changes[key] for key in ('R', 'Ry', 'Margin', 'FullImage', 'SizeUnit') if key in changes})
    setting.setdefault('ClassBalanced', su.load_suggested_class_balanced(setting))
    for key in ('max_iterations', 'max_hours'):
        if getattr(arguments, key) is not None:
            setting['NetworkTraining'][{'max_iterations': 'MaxIterations', 'max_hours': 'MaxHours'}[key]] = getattr(
                arguments, key
            )
    for key in ('only_generate_image', 'never_generate_image'):
        if getattr(arguments, key) is not None:
            setting[key] = getattr(arguments, key)
    if arguments.threads is not None:
        setting['NumberOfThreads'] = arguments.threads
    return setting


def replace(setting, changes):
    """Put ``changes`` into ``setting``; dictionaries that are in both are merged key by key."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(setting.get(key), dict) and key not in ('deform_exp', 'network_dict'):
            replace(setting[key], value)
        elif key != 'deform_exp':
            setting[key] = value


def flag(text):
    """A command-line truth value: published job scripts pass True or False."""
    if text.lower() in ('true', 'yes', '1'):
        return True
    if text.lower() in ('false', 'no', '0'):
        return False
    raise argparse.ArgumentTypeError(f'{text!r} is neither True nor False')


def whole(text):
    """A whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number from 1')
    return int(text)


def part(text):
    """K/N with 1 <= K <= N."""
    numbers = text.split('/')
    if (
        len(numbers) != 2
        or not all(number.isdigit() for number in numbers)
        or not 1 <= int(numbers[0]) <= int(numbers[1])
    ):
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form K/N with K from 1 to N')
    return text


def parse_arguments(words=None):
    """The command line; every option overrides a line of the settings block."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0], epilog='Without options the settings block runs as it stands.'
    )
    parser.add_argument(
        '--where_to_run',
        '-w',
        choices=['Auto', 'Root', 'Cluster'],
        help='folders: that of the repository (or REGNET_ROOT, REGNET_DATA), the current one, or the two variables',
    )
    parser.add_argument('--setting', metavar='FILE', help='JSON file of settings that replace those of the block')
    parser.add_argument(
        '--experiment', metavar='NAME', help='name of the experiment, the folder below Experiments/RegNet/'
    )
    parser.add_argument('--stage', type=int, metavar='{1,2,4}', help='down-sampling factor of the network')
    parser.add_argument('--network', metavar='NAME', help='network design, e.g. unet1')
    parser.add_argument('--max_iterations', type=whole, metavar='N', help='training steps')
    parser.add_argument('--max_hours', type=float, metavar='H', help='time limit of the training')
    parser.add_argument(
        '--only_generate_image',
        '-g',
        nargs='?',
        const=True,
        type=flag,
        metavar='True|False',
        help='generate all artificial deformations and end',
    )
    parser.add_argument(
        '--never_generate_image',
        '-ng',
        nargs='?',
        const=True,
        type=flag,
        metavar='True|False',
        help='use the artificial deformations that are there; a missing one is an error',
    )
    parser.add_argument('--part', type=part, metavar='K/N', help='generate only the K-th of N parts (array jobs)')
    parser.add_argument(
        '--workers', type=whole, metavar='N', help='processes that generate; default: as cores and memory allow'
    )
    parser.add_argument('--threads', type=whole, metavar='N', help='threads of TensorFlow; default: all cores')
    parser.add_argument(
        '--fresh', action='store_true', help='train from the beginning instead of going on from the newest checkpoint'
    )
    parser.add_argument('--traceback', action='store_true', help='show where an input error was found')
    registration_commands.add_arguments(parser)
    evaluation_commands.add_arguments(parser)
    arguments = parser.parse_args(words)
    evaluation_commands.check_arguments(parser, arguments)
    if arguments.part and not arguments.only_generate_image:
        parser.error('--part goes with --only_generate_image: training needs all parts')
    return arguments


def prepare(setting, arguments):
    """Make or convert the images the settings name, and their artificial deformations."""
    from functions.artificial_generation.batch import generate_batch
    from functions.phantom.phantom import make_cases
    from functions.preprocessing.own_data_sets import prepare_own_images

    generate = not setting['never_generate_image']
    if generate:
        prepare_own_images(setting)
        for types, cases in phantom_cases(setting).items():
            make_cases(setting, cases, types, n_workers=arguments.workers)
    su.require_originals(setting)
    if generate:
        # Synthetic pairs are registered at 1 mm, so that is where their deformations are made.
        # On the fly, what is on disk is used all the same: many cores may generate for one that trains.
        on_the_fly = setting.get('OnTheFly') and not setting['only_generate_image']
        modes = ('Validation',) if on_the_fly else ('Training', 'Validation')
        batches = [(modes, None)] + ([(('Testing',), 1)] if setting['read_pair_mode'] == 'synthetic' else [])
        for modes, stage in batches:
            report = generate_batch(setting, modes, n_workers=arguments.workers, part=arguments.part, stage=stage)
            logging.info('%s', report)
            if report.failed:
                raise RegNetError(
                    '{} artificial deformation(s) could not be made; the first: {}'.format(
                        len(report.failed), ': '.join(report.failed[0])
                    )
                )
    if not setting['only_generate_image']:
        from functions.registration.data_set_pairs import check_pairs

        names = {experiment['MaskToZero'] for experiment in setting['deform_exp'].values()}
        check_pairs(setting, testing_pairs(setting), setting.get('InputMask') or names.pop())


def testing_pairs(setting, stage=1):
    """The pairs to be registered: [fixed, moving] im_info dictionaries."""
    return su.get_im_info_list_from_train_mode(setting, 'Testing', load_mode='Pair', stage=stage)


def phantom_cases(setting):
    """Cases of the phantom that the settings name: dictionary tuple of types -> list of case numbers."""
    types_of = {}
    images = [
        item for mode in ('Training', 'Validation') for item in su.get_im_info_list_from_train_mode(setting, mode)
    ]
    for image in images + [image for pair in testing_pairs(setting) for image in pair]:
        if image['data'] == 'Phantom_4D':
            types_of.setdefault(image['cn'], set()).add(image['type_im'])
    cases_of = {}
    for cn, types in sorted(types_of.items()):
        cases_of.setdefault(tuple(sorted(types)), []).append(cn)
    return cases_of


def landmarks_of(setting, pair, images):
    """Landmarks of a pair (fixed, moving), or None where there are none: then no landmark error can be given."""
    from functions.evaluation.pair_landmarks import read_landmarks, synthetic_landmarks
    from functions.setting.errors import MissingFileError, UnknownNameError

    if images.true_dvf is not None:
        return synthetic_landmarks(images.true_dvf, images.fixed_lung)
    try:
        return read_landmarks(setting, pair)
    except (MissingFileError, UnknownNameError) as error:
        logging.warning('No landmark error can be given: %s', error)
        return None


def register_and_evaluate(setting, networks):
    """Register every testing pair, print its table and draw its picture."""
    from functions.evaluation.pair_table import COLUMNS, measure_pair, training_fields
    from functions.evaluation.registration_picture import registration_picture
    from functions.evaluation.text_table import format_table
    from functions.registration.data_set_pairs import register_pair
    from functions.setting.atomic import write_json, write_text

    training = su.get_im_info_list_from_train_mode(setting, 'Training')
    pairs = testing_pairs(setting)
    if not pairs:
        logging.warning('The settings name no testing pair (TestingCNList and TestingPairList): nothing is registered.')
    for pair in pairs:
        result = register_pair(setting, pair, networks)
        images = result.images
        name = '{data} case {cn}'.format(**pair[0]) + (
            ' deformation {dsmooth}'.format(**pair[0]) if 'dsmooth' in pair[0] else ''
        )
        landmarks = landmarks_of(setting, pair, images)
        picture = os.path.join(result.folder, 'registration.png')
        registration_picture(
            picture,
            images.fixed,
            images.moving,
            result.moved,
            result.dvf,
            images.fixed_lung,
            title=name,
            landmarks=landmarks,
        )
        if landmarks is not None:
            rows = measure_pair(
                landmarks[0],
                landmarks[1],
                result.dvf,
                result.jacobian,
                images.fixed_lung,
                result.seconds,
                None if setting.get('OnTheFly') else training_fields(setting, training),
            )
            table = format_table(rows, ('method', 'n') + COLUMNS, digits={'folding %': 3, 'seconds': 1})
            write_json(os.path.join(result.folder, 'measures.json'), rows)
            write_text(os.path.join(result.folder, 'measures.txt'), table)
            print(
                '\n{}: target registration error at {} landmarks, folding inside the lung\n\n{}'.format(
                    name, rows[0]['n'], table
                )
            )
        print(f'Results: {result.folder}\nPicture: {picture}')


def prepare_data(setting, arguments):
    """--prepare: make or convert a data set, then ask whether its landmarks and images speak of the same positions."""
    from functions.evaluation.landmark_check import check_landmarks, usual_pairs

    data, cases = arguments.prepare, arguments.cases
    if data == 'Phantom_4D':
        from functions.phantom.phantom import USUAL_CASES, make_cases

        cases = cases or USUAL_CASES
        make_cases(setting, cases, (0, 5), n_workers=arguments.workers)
    else:
        from functions.preprocessing.prepare import prepare_data_set

        cases = prepare_data_set(setting, data, arguments.source, cases, arguments.workers).cases
    check = check_landmarks(setting, usual_pairs(setting, data, cases))
    print(check.table())
    check.require()


def evaluate(setting, arguments):
    """--evaluate: experiments and classical references on the same pairs."""
    for text in evaluation_commands.evaluate(setting, arguments):
        print(text)


def report_folders(arguments):
    """--report FOLDER: the pages of results that --register has written."""
    from functions.evaluation.folder_report import folder_report
    from functions.registration.result_folder import read_chests

    for folder in arguments.report:
        print(f'Page: {folder_report(folder, read_chests(folder), arguments.landmarks, arguments.protocol)}')


def run(arguments):
    """The steps, in order; images, deformations and training that are finished are not made again."""
    from functions.setting.atomic import read_json

    changes = read_json(arguments.setting) if arguments.setting else {}
    if not isinstance(changes, dict) or not isinstance(changes.get('deform_exp', {}), dict):
        raise InputError(
            f'{arguments.setting} must hold one JSON object, setting -> value (deform_exp: experiment -> its changes).'
        )
    setting = settings_block(arguments, changes)
    su.check_setting(setting)
    if arguments.prepare:
        return prepare_data(setting, arguments)
    if arguments.evaluate:
        return evaluate(setting, arguments)
    prepare(setting, arguments)
    if setting['only_generate_image']:
        return None
    from functions.registration.data_set_pairs import open_networks
    from functions.setting.trained_models import checkpoint_path
    from functions.training.trainer import train

    trained = train(setting, resume=not arguments.fresh, threads=setting['NumberOfThreads'])
    logging.info(
        'Trained %d iterations in %.0f s; checkpoints in %s',
        trained.iteration,
        trained.seconds,
        su.address_generator(setting, 'ModelFolder'),
    )

    def checkpoint_of(experiment, step):
        return checkpoint_path(setting, step, experiment)

    networks = open_networks(setting, checkpoint_of, setting['NumberOfThreads'])
    try:
        register_and_evaluate(setting, networks)
    finally:
        for network in networks.values():
            network.close()


def main(words=None):
    """Run the steps; returns the exit code."""
    arguments = parse_arguments(words)
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(levelname)s %(message)s', datefmt='%H:%M:%S')
    try:
        if registration_commands.asked(arguments):
            registration_commands.run(arguments)
        elif arguments.report:
            report_folders(arguments)
        else:
            run(arguments)
    except RegNetError as error:
        if arguments.traceback:
            raise
        logging.error('%s', error)
        return getattr(error, 'exit_code', 2)
    except KeyboardInterrupt:
        if arguments.traceback:
            raise
        logging.error('Interrupted. What was finished is kept; the same command goes on from there.')
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
