"""RegNet from one command: images, artificial deformations, a trained network, a registered pair and its error in mm.

    python RunRegNet3D.py

Run unedited, it makes breathing thoraxes of its own, trains ``unet1`` at stage 4 on artificial deformations of some of
them, registers one it has never seen and prints the error at landmarks before and after. Edit the assignments below for
your own data; a settings file (``--setting``) and the command line (``--help``) override them.
"""

import argparse
import contextlib
import copy
import functools
import logging
import os
import re
import sys

from functions.setting import console

if __name__ == '__main__':
    console.prepare()  # before NumPy and TensorFlow, which print their own words where they cannot be loaded

import functions.setting.setting_utils as su
from functions.evaluation import command_line as evaluation_commands
from functions.registration import command_line as registration_commands
from functions.setting import schema
from functions.setting.errors import InputError, RegNetError, unknown_name

# ---- The settings to edit. README, "Settings", explains every key; those left out here have their defaults.
setting = {}
setting['stage'] = 4  # 4, 2 or 1: down-sampling factor of the network, and voxel size [mm] of its level
setting['NetworkDesign'] = 'unet1'  # 'unet1', 'crop4', 'crop5', 'decimation4' or 'matching'
setting['current_experiment'] = None  # name of the folder below Experiments/RegNet/; None: phantom_<network>_S<stage>
setting['where_to_run'] = 'Auto'  # folders: 'Auto' those of the repository, 'Root' the current one, or 'Cluster'

# Network input and output
setting['normalization'] = 'lung'  # HU shifted and scaled to about -1 .. 1; None feeds HU, as published
setting['InputMask'] = 'Lung'  # the network sees the lungs only: ribs and skin do not move with them
setting['DVFUnit'] = 'voxel'  # the network predicts voxels of its stage; results are always in mm

# Training
setting['NetworkTraining'] = {
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
setting['NetworkValidation'] = {'NumberOfImagesPerChunk': 12, 'SamplesPerImage': 1, 'BatchSize': 4}

# Artificial deformations
setting['AGMode'] = 'Resp'  # which categories: 'Resp', 'NoResp', 'SingleOnly', 'MixedOnly', 'SingleResp'
setting['SpongeModel'] = 'physical'  # lung density follows the volume change; 'published' divides HU
repetitions = 3  # random deformations of every kind for each training image
# The phantom is small here: its coarse grids have no room for the published border of two control points, and its new
# shapes (NextIm) are to stay thoraxes.
deform_exp_changes = {
    'SingleFrequency_SetGridBorderToZero': [[1, 1, 1]] * 5,
    'RespiratoryMotion_SetGridBorderToZero': [[1, 1, 1]] * 5,
    'NextIm_MaxDeform': 8,
}

# Images: cases 1-8 of the phantom train, case 9 is never seen; fixed = T00 (inhale), moving = T50 (exhale)
setting['Phantom'] = {'Size': [212, 148, 180]}
setting['DataExpDict'] = [
    {
        'data': 'Phantom_4D',
        'deform_exp': None,  # None: the experiment of the stage, e.g. '3D_max20_D14_K' for stage 4
        'TrainingCNList': [1, 2, 3, 4, 5, 6, 7, 8],
        'TrainingTypeImList': [0, 5],
        'TrainingDSmoothList': None,  # None: the deformations of AGMode, each repeated `repetitions` times
        'TrainingDeformedImExt': ['Clean', 'Sponge', 'Noise'],
        'ValidationCNList': [1, 3, 5, 7],
        'ValidationTypeImList': [2],
        'ValidationDSmoothList': None,  # None: the validation deformations of AGMode
        'ValidationDeformedImExt': ['Clean', 'Sponge', 'Noise'],
        'TestingCNList': [9],
        'TestingPairList': [[0, 5]],
        'TestingSpacing': 'RS1',
    }
]

# Registration
setting['BaseReg'] = 'Identity'  # before the network: 'Identity' nothing, 'Affine' an affine registration
setting['stage_list'] = None  # the pyramid, e.g. [4, 2, 1]; None: the stage above
setting['network_dict'] = None  # the network of every stage; None: the newest checkpoint of the experiment above
# ---- Nothing to edit below.


def complete_setting(arguments, changes=None):
    """The settings of a run: defaults, then the assignments above, a settings file and the command line.

    Values that are not accepted stay in the dictionary, so that ``check_setting`` reports all of them at once.

    :param arguments: the command line.
    :param changes: content of the settings file (``--setting``), or None.
    :raises UnknownNameError: the file changes a deformation experiment that no entry of DataExpDict uses.
    """
    block, changes = copy.deepcopy(setting), copy.deepcopy(changes or {})
    merge(
        changes,
        {
            'stage': arguments.stage,
            'NetworkDesign': arguments.network,
            'current_experiment': arguments.experiment,
            'where_to_run': arguments.where_to_run,
        },
        keep_none=False,
    )
    chosen = dict(block, **changes)
    stage, network, experiment = chosen['stage'], chosen['NetworkDesign'], chosen['current_experiment']
    if experiment is None:
        experiment = f'phantom_{network}_S{stage}'
    usable_stage = stage if schema.STAGE.accepts(stage) else 4

    place = schema.KEYS['where_to_run'].kind
    result = su.initialize_setting(
        experiment, chosen['where_to_run'] if place.accepts(chosen['where_to_run']) else None
    )
    merge(result, block)
    pyramid = chosen['stage_list']
    if pyramid is None:
        pyramid = changes.get('ImagePyramidSchedule', [usable_stage])
    su.load_registration_setting(result, pyramid if schema.PYRAMID.accepts(pyramid) else [usable_stage])
    network_here = {'NetworkDesign': network, 'NetworkLoad': experiment, 'GlobalStepLoad': 'Last'}
    result['network_dict'] = block['network_dict'] or {f'stage{usable_stage}': dict(network_here, stage=usable_stage)}
    merge(result, changes)
    result.update(stage=usable_stage, current_experiment=experiment, stage_list=pyramid)

    load_data(result, changes)
    try:
        su.load_network_setting(result, network)
    except RegNetError:
        result['NetworkDesign'] = network
    merge(result, {key: changes[key] for key in ('R', 'Ry', 'Margin', 'FullImage', 'SizeUnit') if key in changes})
    merge(
        result,
        {
            'NetworkTraining': {'MaxIterations': arguments.max_iterations, 'MaxHours': arguments.max_hours},
            'only_generate_image': arguments.only_generate_image,
            'never_generate_image': arguments.never_generate_image,
            'NumberOfThreads': arguments.threads,
        },
        keep_none=False,
    )
    return dict(result, stage=stage)


def load_data(result, changes):
    """Put data sets, deformation experiments and magnitude classes into the settings ``result``."""
    experiment_changes = result.pop('deform_exp', {})
    try:
        if 'DataExpDict' not in changes:
            fill_in_deformations(result['DataExpDict'], result['stage'], result['AGMode'])
        su.load_setting_from_data_dict(result, result['DataExpDict'])
    except RegNetError:
        return  # check_setting says what is wrong with the entries
    for name in result['DeformExpList']:
        if 'DataExpDict' not in changes:
            merge(result['deform_exp'][name], deform_exp_changes)
    for name in experiment_changes:
        if name not in result['DeformExpList']:
            raise unknown_name('deformation experiment of DataExpDict', name, result['DeformExpList'])
    merge(result['deform_exp'], experiment_changes)
    if result['DeformExpList'] and 'ClassBalanced' not in result:
        with contextlib.suppress(RegNetError):
            result['ClassBalanced'] = su.load_suggested_class_balanced(result)


def fill_in_deformations(entries, stage, mode):
    """Put what is suggested for a stage and AGMode where entries of DataExpDict say None."""
    mode = mode if mode in schema.AG_MODES else 'Resp'
    for entry in entries:
        if entry.get('deform_exp', '') is None:
            entry['deform_exp'] = su.suggested_stage_setting(stage, mode)['deform_exp']
        if entry.get('TrainingDSmoothList', ()) is None:
            training = su.dsmoothlist_by_deform_exp(entry['deform_exp'], mode)[0]
            entry['TrainingDSmoothList'] = su.repeat_dsmooth_numbers(training, entry['deform_exp'], repetitions)
        if entry.get('ValidationDSmoothList', ()) is None:
            entry['ValidationDSmoothList'] = su.dsmoothlist_by_deform_exp(entry['deform_exp'], mode)[1]


def merge(target, changes, keep_none=True):
    """Put ``changes`` into ``target``; dictionaries that are in both are merged key by key, except network_dict."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict) and key != 'network_dict':
            merge(target[key], value, keep_none)
        elif value is not None or keep_none:
            target[key] = copy.deepcopy(value)


def true_or_false(text):
    """A truth value of the command line: published job scripts pass True or False."""
    values = {'true': True, 'yes': True, '1': True, 'false': False, 'no': False, '0': False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f'{text!r} is neither True nor False')
    return values[text.lower()]


def positive_number(text, most=schema.LARGEST):
    """A whole number from 1 to ``most``."""
    if not text.isdigit() or not 1 <= int(text[:20]) <= most:
        raise argparse.ArgumentTypeError(f'{schema.shown(text)} is not a whole number from 1 to {most}')
    return int(text)


def part(text):
    """K/N with 1 <= K <= N."""
    match = re.match(r'(\d+)/(\d+)\Z', text)
    if not match or not 1 <= int(match.group(1)) <= int(match.group(2)):
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form K/N with K from 1 to N')
    return text


def parse_arguments(words=None):
    """The command line; every option overrides a setting above."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0], epilog='Without options the settings of the script are used as they are.'
    )
    add = parser.add_argument
    flag = {'nargs': '?', 'const': True, 'type': true_or_false, 'metavar': 'True|False'}
    processes = functools.partial(positive_number, most=schema.MOST_PROCESSES)
    # fmt: off
    add('--where_to_run', '-w', choices=['Auto', 'Root', 'Cluster'],
        help='folders: that of the repository (or REGNET_ROOT, REGNET_DATA), the current one, or the two variables')
    add('--setting', metavar='FILE', help='JSON file of settings that replace those of the script')
    add('--experiment', metavar='NAME', help='name of the experiment, the folder below Experiments/RegNet/')
    add('--stage', type=int, metavar='{1,2,4}', help='down-sampling factor of the network')
    add('--network', metavar='NAME', help='network design, e.g. unet1')
    add('--max_iterations', type=positive_number, metavar='N', help='training steps')
    add('--max_hours', type=float, metavar='H', help='time limit of the training')
    add('--only_generate_image', '-g', help='generate all artificial deformations and end', **flag)
    add('--never_generate_image', '-ng',
        help='use the artificial deformations that are there; a missing one is an error', **flag)
    add('--part', type=part, metavar='K/N', help='generate only the K-th of N parts (array jobs)')
    add('--workers', type=processes, metavar='N',
        help='processes that generate; default: as cores and memory allow')
    add('--threads', type=processes, metavar='N', help='threads of TensorFlow; default: all cores')
    add('--fresh', action='store_true', help='train from scratch instead of continuing from the newest checkpoint')
    add('--verify', action='store_true',
        help='compare checksums of finished images and results, not only where sizes or times differ')
    add('--traceback', action='store_true', help='show where an input error was found')
    # fmt: on
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
    from functions.preprocessing.own_images import prepare_own_images

    generate = not setting['never_generate_image']
    if generate:
        prepare_own_images(setting)
        for types, cases in phantom_cases(setting).items():
            make_cases(setting, cases, types, n_workers=arguments.workers)
    su.require_originals(setting)
    if generate:
        # Trainings on the fly use what is on disk too: many cores may generate for one that trains.
        on_the_fly = setting.get('OnTheFly') and not setting['only_generate_image']
        modes = ('Validation',) if on_the_fly else ('Training', 'Validation')
        batches = [(modes, None)] if su.trains(setting) else []
        # Synthetic pairs are registered at 1 mm, so that is where their deformations are made.
        batches += [(('Testing',), 1)] if setting['read_pair_mode'] == 'synthetic' else []
        for modes, stage in batches:
            options = {'n_workers': arguments.workers, 'part': arguments.part, 'verify': arguments.verify}
            report = generate_batch(setting, modes, stage=stage, **options)
            logging.info('%s', report)
            if report.failed:
                first = ': '.join(report.failed[0])
                raise RegNetError(f'{len(report.failed)} artificial deformation(s) failed; the first: {first}')
    if not setting['only_generate_image']:
        from functions.registration.data_set_pairs import check_pairs, mask_of_networks

        check_pairs(setting, testing_pairs(setting), mask_of_networks(setting))


def item_after_passes(setting, opened):
    """What makes training items where networks run before the one to be trained (``PassesBefore``), else None."""
    before = setting.get('PassesBefore', {})
    if not before.get('networks'):
        return None
    from functions.artificial_generation.training_item import ItemAfterPasses
    from functions.registration.network_pyramid import open_networks
    from functions.registration.passes_before import PassesBefore

    entries = {f'stage{stage}': {'NetworkLoad': name} for stage, name in before['networks'].items()}
    model = opened.enter_context(open_networks(dict(setting, network_dict=entries, stage_list=before['stages'])))
    return ItemAfterPasses(PassesBefore(model))


def testing_pairs(setting):
    """The pairs to be registered: [fixed, moving] im_info dictionaries."""
    return su.get_im_info_list_from_train_mode(setting, 'Testing', load_mode='Pair', stage=1)


def phantom_cases(setting):
    """Cases of the phantom that the settings name: dictionary tuple of types -> list of case numbers."""
    images = [image for pair in testing_pairs(setting) for image in pair]
    for mode in ('Training', 'Validation'):
        images += su.get_im_info_list_from_train_mode(setting, mode)
    types_of, cases_of = {}, {}
    for image in images:
        if image['data'] == 'Phantom_4D':
            types_of.setdefault(image['cn'], set()).add(image['type_im'])
    for cn, types in sorted(types_of.items()):
        cases_of.setdefault(tuple(sorted(types)), []).append(cn)
    return cases_of


def register_and_measure(setting, pairs, model):
    """Register pairs; print a table and draw a picture of each."""
    from functions.evaluation.pair_landmarks import find_landmarks
    from functions.evaluation.pair_table import COLUMNS, measure_pair, training_fields
    from functions.evaluation.registration_picture import registration_picture
    from functions.evaluation.text_table import format_table
    from functions.registration.data_set_pairs import register_pair
    from functions.setting.atomic import write_json, write_text

    trains = su.trains(setting)
    training = (
        su.get_im_info_list_from_train_mode(setting, 'Training') if trains and not setting.get('OnTheFly') else []
    )
    for pair in pairs:
        # A network that this run has trained may be hardly trained; its results are shown all the same.
        result = register_pair(setting, pair, model, trained=not trains)
        found, folder = result.registration, result.folder
        fixed = pair[0]
        name = f'{fixed["data"]} case {fixed["cn"]}'
        name += f' deformation {fixed["dsmooth"]}' if 'dsmooth' in fixed else ''
        picture = os.path.join(folder, 'registration.png')
        landmarks, reason = find_landmarks(setting, pair, result.true_dvf, found.lung)
        if landmarks is None:
            logging.warning('No landmark error can be given: %s', reason)
        images = (found.fixed, found.moving, found.moved, found.dvf)
        registration_picture(picture, *images, lung=found.lung, title=name, landmarks=landmarks)
        if landmarks is not None:
            fields = training_fields(setting, training) if training else None
            rows = measure_pair(*landmarks, found.dvf, found.jacobian, found.lung, found.total_seconds, fields)
            table = format_table(rows, ('method', 'n') + COLUMNS, digits={'folding %': 3, 'seconds': 1})
            write_json(os.path.join(folder, 'measures.json'), rows)
            write_text(os.path.join(folder, 'measures.txt'), table)
            title = f'{name}: target registration error at {rows[0]["n"]} landmarks, folding inside the lung'
            print(f'\n{title}\n\n{table}')
        print(f'Results: {folder}\nPicture: {picture}')


def prepare_data(setting, arguments):
    """--prepare: make or convert a data set, then check that its landmarks fit its images."""
    from functions.evaluation.landmark_check import check_landmarks, usual_pairs
    from functions.image.claim import claim_folder
    from functions.image.manifest import require_present

    data, cases = arguments.prepare, arguments.cases
    with claim_folder(setting['DataFolder'], f'.{data}.lock'):
        if data == 'Phantom_4D':
            from functions.phantom.phantom import USUAL_CASES, make_cases

            cases = cases or USUAL_CASES
            make_cases(setting, cases, (0, 5), n_workers=arguments.workers)
            manifests = [su.address_generator(setting, 'PhantomManifest', data=data, cn=cn, stage=1) for cn in cases]
        else:
            from functions.preprocessing.public_data_sets import prepare_data_set

            report = prepare_data_set(setting, data, arguments.source, cases, arguments.workers)
            cases, manifests = report.cases, report.manifests
        check = check_landmarks(setting, usual_pairs(setting, data, cases))
        print(check.table())
        check.require()
        require_present(manifests)


def evaluate(setting, arguments):
    """--evaluate: experiments and classical references on the same pairs; sets of networks register them first."""
    from functions.evaluation.experiments import open_experiment

    for name in arguments.evaluate:
        if su.network_set(name):
            known = su.register_only(dict(setting, current_experiment=name), name)
            prepare(known, arguments)
            os.makedirs(su.address_generator(known, 'log_folder'), exist_ok=True)
            done = [result.pair for result in open_experiment(known, name, own_settings=False).results]
            register(known, [pair for pair in testing_pairs(known) if pair not in done])
    for text in evaluation_commands.evaluate(setting, arguments):
        print(text)


def report_folders(arguments):
    """--report FOLDER: the pages of results that --register has written."""
    from functions.evaluation.folder_report import folder_report
    from functions.registration.result_folder import read_chests

    for folder in arguments.report:
        print(f'Page: {folder_report(folder, read_chests(folder), arguments.landmarks, arguments.protocol)}')


def register(setting, pairs):
    """Register pairs with the networks the settings name."""
    from functions.image.claim import claim_folder
    from functions.registration.network_pyramid import open_networks

    if not pairs:
        return
    with claim_folder(su.address_generator(setting, 'result_folder')), open_networks(setting) as model:
        register_and_measure(setting, pairs, model)


def read_changes(path):
    """The settings file as a dictionary; {} without one."""
    from functions.setting.text_files import read_json

    changes = read_json(path, edited=True) if path else {}
    if not isinstance(changes, dict) or not isinstance(changes.get('deform_exp', {}), dict):
        raise InputError(f'{path} must hold one JSON object, setting -> value (deform_exp: experiment -> its changes).')
    return changes


def run(arguments):
    """The steps, in order; finished images, deformations and trainings are not made again."""
    from functions.image.claim import claim_folder

    changes = read_changes(arguments.setting)
    setting = complete_setting(arguments, changes)
    if arguments.model:
        if not (arguments.experiment or 'current_experiment' in changes):
            setting['current_experiment'] = os.path.basename(os.path.normpath(arguments.model[0]))
        setting = su.register_only(setting, arguments.model, arguments.stages)
    su.check_setting(setting)
    results = os.path.realpath(su.address_generator(setting, 'result_folder'))
    if arguments.setting and os.path.realpath(arguments.setting).startswith(results + os.sep):
        raise InputError(f'{arguments.setting} lies among the results, which are written anew; copy it elsewhere.')
    if arguments.prepare:
        return prepare_data(setting, arguments)
    if arguments.evaluate:
        return evaluate(setting, arguments)
    if su.trains(setting) and not setting['only_generate_image']:
        with claim_folder(su.address_generator(setting, 'ModelFolder')):
            pass  # refused now rather than after the images are made
    prepare(setting, arguments)
    if setting['only_generate_image']:
        return None
    if su.trains(setting):
        from functions.training.trainer import train

        with contextlib.ExitStack() as opened:
            make_item = item_after_passes(setting, opened)
            trained = train(setting, not arguments.fresh, setting['NumberOfThreads'], make_item)
        folder = su.address_generator(setting, 'ModelFolder')
        logging.info('Trained %d iterations in %.0f s; checkpoints in %s', trained.iteration, trained.seconds, folder)
    elif not su.saved_steps(setting):
        su.write_setting(setting)  # where --evaluate looks for the pairs; a trained experiment keeps its own settings
    pairs = testing_pairs(setting)
    if not pairs:
        logging.warning('The settings name no testing pair (TestingCNList and TestingPairList): nothing is registered.')
    return register(setting, pairs)


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
    except OSError as error:
        if arguments.traceback or error.filename is None:
            raise
        logging.error('%s: %s.', error.filename, error.strerror)
        return 2
    except MemoryError as error:
        if arguments.traceback:
            raise
        logging.error(
            'Out of memory: %s. What was finished is kept.', str(error).rstrip('.') or 'nothing more is known'
        )
        return 2
    except KeyboardInterrupt:
        if arguments.traceback:
            raise
        logging.error('Interrupted. What was finished is kept; the same command goes on from there.')
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(console.end(main))
