"""RegNet from one command: images, artificial deformations, a trained network, a registered pair and its error in mm.

    python RunRegNet3D.py

Run unedited, it makes breathing thoraxes of its own, trains ``unet1`` at stage 4 on artificial deformations of some of
them, registers one it has never seen and prints the error at landmarks before and after. Edit the assignments below for
your own data; a settings file (``--setting``) and the command line (``--help``) override them.
"""

# ---- The settings to edit. docs/settings.md explains every key; those left out here have their defaults.
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
# ---- Nothing to edit below. The command `regnet` reads the assignments above too, without what follows.
if __name__ != 'settings':
    import sys

    from functions.setting import console

    if __name__ == '__main__':
        console.prepare()  # before NumPy and TensorFlow, which print their own words where they cannot be loaded
    from functions.commands import script_settings
    from functions.commands.carry_out import carry_out
    from functions.commands.options import parse_arguments

    script = {'setting': setting, 'repetitions': repetitions, 'deform_exp_changes': deform_exp_changes}

    def complete_setting(arguments, changes=None):
        """The settings of a run, see :func:`functions.commands.script_settings.complete_setting`."""
        return script_settings.complete_setting(script, arguments, changes)

    def main(words=None):
        """Run the steps; returns the exit code."""
        return carry_out(script, parse_arguments(words))

    if __name__ == '__main__':
        sys.exit(console.end(main))
