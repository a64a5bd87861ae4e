"""RegNet from one command: images in, artificial deformations, a trained network, a registered pair, its error in mm.

    python RunRegNet3D.py

Run unedited, it makes breathing thoraxes of its own, trains ``unet1`` at stage 4 on artificial deformations of some of them,
registers one it has never seen and prints how far the landmarks are off before and after. Edit the block below for your
own data; every setting in it can also be overridden on the command line (``--help``).
"""
import argparse
import logging
import os
import sys

import functions.setting.setting_utils as su
from functions.setting.errors import RegNetError


def settings_block(arguments):
    """The settings a person edits. ``arguments`` holds the command line, which comes first where it says something."""
    setting = su.initialize_setting(current_experiment=arguments.experiment or 'phantom_{}_S{}'.format(
        arguments.network or 'unet1', arguments.stage or 4), where_to_run=arguments.where_to_run or 'Auto')

    # ---- what is trained: down-sampling factor (4, 2 or 1: voxel size in mm of that level) and network
    setting['stage'] = arguments.stage or 4
    network = arguments.network or 'unet1'

    # ---- artificial deformations: the experiment per stage, and which categories of it ('Resp', 'NoResp', 'SingleOnly', ...)
    deform_exp = {1: '3D_max7_D14_K', 2: '3D_max15_D14_K', 4: '3D_max20_D14_K'}[setting['stage']]
    setting['AGMode'] = 'Resp'
    dsmooth_training, dsmooth_validation = su.dsmoothlist_by_deform_exp(deform_exp, setting['AGMode'])
    dsmooth_training = su.repeat_dsmooth_numbers(dsmooth_training, deform_exp, 2)

    # ---- images: cases 1-5 of the phantom train, case 6 is never seen. Own images: see the README.
    setting['Phantom'].update({'Size': [212, 148, 180]})
    data_exp_dict = [{
        'data': 'Phantom_4D', 'deform_exp': deform_exp,
        'TrainingCNList': [1, 2, 3, 4, 5], 'TrainingTypeImList': [0, 5], 'TrainingDSmoothList': dsmooth_training,
        'TrainingDeformedImExt': ['Clean', 'Sponge', 'Noise'],
        'ValidationCNList': [1, 2, 3, 4, 5], 'ValidationTypeImList': [2], 'ValidationDSmoothList': dsmooth_validation,
        'ValidationDeformedImExt': ['Clean', 'Sponge', 'Noise'],
        'TestingCNList': [6], 'TestingPairList': [[0, 5]], 'TestingSpacing': 'RS1'}]

    # ---- training
    setting['NetworkTraining'].update({
        'NumberOfImagesPerChunk': 70, 'SamplesPerImage': 1, 'BatchSize': 2, 'MaxQueueSize': 20,
        'MaxIterations': arguments.max_iterations or 2400, 'MaxHours': arguments.max_hours,
        'LearningRate_Base': 1e-3, 'LearningRate_Schedule': 'cosine', 'LungWeight': 4., 'ValidationInterval': 400})
    setting['NetworkValidation'].update({'NumberOfImagesPerChunk': 15, 'SamplesPerImage': 1, 'BatchSize': 5})
    setting['normalization'] = 'lung'   # HU shifted and scaled to about -1 .. 1; None feeds HU, as published
    setting['DVFUnit'] = 'voxel'        # the network predicts voxels of its stage; results are always in mm
    setting['Augmentation'] = True      # flips

    # ---- registration: the pyramid, and which experiment's network works at which stage
    setting['BaseReg'] = 'Identity'     # the phantom needs no affine registration first
    su.load_registration_setting(setting, [setting['stage']])
    setting['network_dict'] = {'stage{}'.format(setting['stage']): {
        'NetworkDesign': network, 'NetworkLoad': setting['current_experiment'], 'GlobalStepLoad': 'Last',
        'stage': setting['stage']}}

    # ---- nothing to edit below
    su.load_setting_from_data_dict(setting, data_exp_dict)
    experiment = setting['deform_exp'][deform_exp]
    for category in ('SingleFrequency', 'RespiratoryMotion'):
        experiment[category + '_SetGridBorderToZero'] = [[1, 1, 1]] * 5
    su.load_network_setting(setting, network)
    setting['ClassBalanced'] = su.load_suggested_class_balanced(setting)
    setting['only_generate_image'] = arguments.only_generate_image
    setting['never_generate_image'] = arguments.never_generate_image
    setting['NumberOfThreads'] = arguments.threads
    return setting


def flag(text):
    """A command-line truth value: published job scripts pass True or False."""
    if text.lower() in ('true', 'yes', '1'):
        return True
    if text.lower() in ('false', 'no', '0'):
        return False
    raise argparse.ArgumentTypeError('{!r} is neither True nor False'.format(text))


def parse_arguments(words=None):
    """The command line; every option overrides a line of the settings block."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0], epilog='Without options the settings block runs as it stands.')
    parser.add_argument('--where_to_run', '-w', choices=['Auto', 'Root', 'Cluster'],
                        help='folders: that of the repository (or REGNET_ROOT, REGNET_DATA), the current one, or the two variables')
    parser.add_argument('--experiment', metavar='NAME', help='name of the experiment, the folder below Experiments/RegNet/')
    parser.add_argument('--stage', type=int, metavar='{1,2,4}', help='down-sampling factor of the network')
    parser.add_argument('--network', metavar='NAME', help='network design, e.g. unet1')
    parser.add_argument('--max_iterations', type=int, metavar='N', help='training steps')
    parser.add_argument('--max_hours', type=float, metavar='H', help='time limit of the training')
    parser.add_argument('--only_generate_image', '-g', nargs='?', const=True, default=False, type=flag, metavar='True|False',
                        help='generate all artificial deformations and end')
    parser.add_argument('--never_generate_image', '-ng', nargs='?', const=True, default=False, type=flag, metavar='True|False',
                        help='use the artificial deformations that are there; a missing one is an error')
    parser.add_argument('--part', metavar='K/N', help='generate only the K-th of N parts (array jobs)')
    parser.add_argument('--workers', type=int, metavar='N', help='processes that generate; default: as cores and memory allow')
    parser.add_argument('--threads', type=int, metavar='N', help='threads of TensorFlow; default: all cores')
    parser.add_argument('--fresh', action='store_true', help='train from the beginning instead of going on from the newest checkpoint')
    parser.add_argument('--traceback', action='store_true', help='show where an input error was found')
    return parser.parse_args(words)


def prepare(setting, arguments):
    """Make the phantom cases and the artificial deformations the settings name."""
    from functions.artificial_generation.batch import generate_batch
    from functions.phantom.phantom import make_cases
    if not setting['never_generate_image']:
        for types, cases in phantom_cases(setting).items():
            make_cases(setting, cases, types, n_workers=arguments.workers)
    su.require_originals(setting)
    if not setting['never_generate_image']:
        report = generate_batch(setting, n_workers=arguments.workers, part=arguments.part)
        logging.info('%s', report)
        if report.failed:
            raise RegNetError('{} artificial deformation(s) could not be made; the first: {}'.format(
                len(report.failed), ': '.join(report.failed[0])))


def phantom_cases(setting):
    """Cases of the phantom that the settings name: dictionary tuple of types -> list of case numbers."""
    types_of = {}
    for mode in ('Training', 'Validation'):
        for item in su.get_im_info_list_from_train_mode(setting, mode):
            types_of.setdefault((item['data'], item['cn']), set()).add(item['type_im'])
    for pair in su.get_im_info_list_from_train_mode(setting, 'Testing', load_mode='Pair'):
        for image in pair:
            types_of.setdefault((image['data'], image['cn']), set()).add(image['type_im'])
    cases_of = {}
    for (data, cn), types in sorted(types_of.items()):
        if data == 'Phantom_4D':
            cases_of.setdefault(tuple(sorted(types)), []).append(cn)
    return cases_of


def register_and_evaluate(setting, networks):
    """Register every testing pair, print its table and draw its picture."""
    from functions.evaluation.landmarks import read_landmarks
    from functions.evaluation.pair_measures import COLUMNS, measure_pair, training_fields
    from functions.evaluation.picture import registration_picture
    from functions.evaluation.table import format_table
    from functions.registration.pair import register_pair
    from functions.setting.atomic import write_json, write_text
    from functions.setting.errors import MissingFileError
    training = su.get_im_info_list_from_train_mode(setting, 'Training')
    for pair in su.get_im_info_list_from_train_mode(setting, 'Testing', load_mode='Pair'):
        result = register_pair(setting, pair, networks)
        name = '{data} case {cn}'.format(**pair[0])
        try:
            landmarks = read_landmarks(setting, pair)
        except MissingFileError as error:
            logging.warning('%s: no landmark error can be given. %s', name, error)
            landmarks = None
        picture = os.path.join(result.folder, 'registration.png')
        registration_picture(picture, result.fixed, result.moving, result.moved, result.dvf, result.fixed_lung,
                             title=name, landmarks=landmarks)
        if landmarks is not None:
            rows = measure_pair(landmarks[0], landmarks[1], result.dvf, result.jacobian, result.fixed_lung, result.seconds,
                                training_fields(setting, training))
            table = format_table(rows, ('method', 'n') + COLUMNS, digits={'folding %': 3, 'seconds': 1})
            write_json(os.path.join(result.folder, 'measures.json'), rows)
            write_text(os.path.join(result.folder, 'measures.txt'), table)
            print('\n{}: target registration error at {} landmarks, folding inside the lung\n\n{}'.format(
                name, rows[0]['n'], table))
        print('Results: {}\nPicture: {}'.format(result.folder, picture))


def run(arguments):
    """The steps, in order; every one of them is passed over where its results are there already."""
    setting = settings_block(arguments)
    su.check_setting(setting)
    prepare(setting, arguments)
    if setting['only_generate_image']:
        return
    from functions.registration.pair import open_networks
    from functions.training.checkpoints import Checkpoints
    from functions.training.trainer import train
    su.write_setting(setting)
    trained = train(setting, resume=not arguments.fresh, threads=arguments.threads)
    logging.info('Trained %d iterations in %.0f s; checkpoints in %s', trained.iteration, trained.seconds,
                 su.address_generator(setting, 'ModelFolder'))

    def checkpoint_of(experiment, step):
        checkpoints = Checkpoints(setting, experiment=experiment)
        return checkpoints.path(checkpoints.newest() if step in ('Last', 'Auto') else int(step))
    networks = open_networks(setting, checkpoint_of, arguments.threads)
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
        run(arguments)
    except RegNetError as error:
        if arguments.traceback:
            raise
        logging.error('%s', error)
        return getattr(error, 'exit_code', 2)
    return 0


if __name__ == '__main__':
    sys.exit(main())
