"""The networks a setting names: what registration will need is told before hours of training."""

import pytest

import functions.setting.setting_utils as su
from functions.setting.atomic import write_json


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """Registers with its own network at stage 4 and with that of 'Trained' (steps 20 and 40) at stage 2."""
    monkeypatch.chdir(tmp_path)
    setting = su.load_registration_setting(su.initialize_setting('MyExp', 'Root'), [4, 2])
    for step in (20, 40):
        prefix = su.address_generator(setting, 'saved_model', current_experiment='Trained')
        write_json(f'{prefix}-{step}.json', {})
    setting.update(
        BaseReg='Identity',
        network_dict={
            'stage4': {
                'NetworkDesign': 'unet1',
                'NetworkLoad': 'MyExp',
                'GlobalStepLoad': 'Last',
                'R': 'Auto',
                'Ry': 20,
                'Ry_erode': 'Auto',
                'MaskToZero': 'Lung',
                'stage': 4,
            },
            'stage2': {'NetworkLoad': 'Trained', 'GlobalStepLoad': 40},
        },
    )
    return setting


def the_problem(setting):
    problems = su.find_problems(setting)
    assert len(problems) == 1, problems
    return problems[0]


def test_what_can_be_registered_has_no_problem(setting):
    assert su.find_problems(setting) == []


def test_an_unknown_first_registration_is_refused_only_where_it_would_be_run(setting):
    setting['BaseReg'] = 'Affine'
    assert su.find_problems(setting) == []
    setting['BaseReg'] = 'Afine'
    assert the_problem(setting).startswith("BaseReg is 'Afine'; accepted: one of 'Identity', 'Affine'.")
    del setting['network_dict']
    assert su.find_problems(setting) == []


@pytest.mark.parametrize(
    'changes, text',
    [
        (3, "network_dict.stage2 is 3; accepted: a dictionary with 'NetworkLoad'"),
        ({'NetworkLod': 'Trained'}, "network_dict.stage2.NetworkLod is not a setting. Did you mean 'NetworkLoad'?"),
        ({'NetworkLoad': 3}, 'network_dict.stage2.NetworkLoad is 3; accepted: text'),
        ({'GlobalStepLoad': 'Lst'}, "GlobalStepLoad is 'Lst'; accepted: 'Last', 'Best', 'Auto' or a whole number"),
        ({'GlobalStepLoad': -1}, 'GlobalStepLoad is -1'),
        ({'GlobalStepLoad': True}, 'GlobalStepLoad is True'),
        ({'GlobalStepLoad': 1.5}, 'GlobalStepLoad is 1.5'),
        ({'GlobalStepLoad': '4\n'}, 'GlobalStepLoad is '),
        ({'GlobalStepLoad': '20'}, None),
        ({'GlobalStepLoad': 'Best'}, None),
        ({'GlobalStepLoad': 'Auto'}, None),
        ({'GlobalStepLoad': 30}, 'Trained has no checkpoint of step 30 in ./Experiments/RegNet/Trained/'),
        ({'R': 1.5}, 'network_dict.stage2.R is 1.5'),
        ({'MaskToZero': 'lung'}, "MaskToZero is 'lung'"),
        ({'stage': 4}, 'network_dict.stage2.stage is 4; accepted: 2.'),
        ({'stage': 2.0}, 'network_dict.stage2.stage is 2.0; accepted: one of 1, 2, 4.'),
        ({'stage': 2}, None),
        ({'NetworkDesign': 'unet'}, "network_dict.stage2.NetworkDesign is 'unet'; accepted: "),
        ({'NetworkLoad': 'Nobody'}, 'NetworkLoad: Nobody has no checkpoint in ./Experiments/RegNet/Nobody/'),
        ({'NetworkLoad': '../Trained'}, 'network_dict.stage2.NetworkLoad: '),
        ({'NetworkLoad': 'RegNet/MyExp', 'GlobalStepLoad': 7}, None),
    ],
)
def test_entries_of_network_dict(setting, changes, text):
    if isinstance(changes, dict):
        setting['network_dict']['stage2'].update(changes)
    else:
        setting['network_dict']['stage2'] = changes
    if text is None:
        assert su.find_problems(setting) == []
    else:
        assert text in the_problem(setting)


def test_an_entry_without_an_experiment(setting):
    del setting['network_dict']['stage4']['NetworkLoad']
    assert 'network_dict.stage4.NetworkLoad is missing' in the_problem(setting)


@pytest.mark.parametrize(
    'stages, voxel, accepted', [([4, 2], None, True), ([4, 2, 1], 1, True), ([4, 2, 1], None, False), ([4], 4, False)]
)
def test_passes_before_run_on_images_no_coarser_than_any_of_them(setting, stages, voxel, accepted):
    networks = dict.fromkeys(map(str, stages), 'Trained')
    setting.update(stage=2, PassesBefore={'networks': networks, 'stages': stages, 'voxel': voxel})
    del setting['network_dict']['stage4']
    setting['stage_list'] = [2]
    if accepted:
        assert su.find_problems(setting) == []
    else:
        assert f'PassesBefore.voxel is {voxel or 2}; accepted: no more than the stage (2)' in the_problem(setting)


def test_every_stage_needs_its_network(setting):
    networks = setting['network_dict']
    networks['stage 2'] = networks.pop('stage2')
    problems = su.find_problems(setting)
    assert problems == [
        "network_dict has no 'stage2', which the pyramid [4, 2] needs.",
        'network_dict.stage 2 is not a setting; accepted: stage1, stage2, stage4, error_map, symmetric. '
        "Did you mean 'stage2'?",
    ]


@pytest.mark.parametrize(
    'entry, text',
    [
        ({'NetworkLoad': 'Trained'}, None),
        ({'NetworkLoad': 'Trained', 'stage': 2}, None),
        ({'NetworkLoad': 'Nobody'}, 'network_dict.error_map.NetworkLoad: Nobody has no checkpoint in '),
        ({'GlobalStepLoad': 3}, 'network_dict.error_map.NetworkLoad is missing'),
        ('Trained', "network_dict.error_map is 'Trained'; accepted: a dictionary with 'NetworkLoad'"),
    ],
)
def test_the_network_of_errors_needs_its_checkpoint(setting, entry, text):
    setting['network_dict']['error_map'] = entry
    assert su.find_problems(setting) == [] if text is None else text in the_problem(setting)


def test_symmetric_passes_are_asked_for_by_true_or_false(setting):
    setting['network_dict']['symmetric'] = True
    assert su.find_problems(setting) == []
    setting['network_dict']['symmetric'] = 'yes'
    assert the_problem(setting).startswith("network_dict.symmetric is 'yes'; accepted: True or False")


def test_a_stage_that_is_not_registered_needs_no_checkpoint(setting):
    setting['network_dict']['stage1'] = {'NetworkLoad': 'Nobody'}
    assert su.find_problems(setting) == []
    setting['network_dict']['stage1']['GlobalStepLoad'] = 'Lst'
    assert "stage1.GlobalStepLoad is 'Lst'" in the_problem(setting)


@pytest.mark.parametrize(
    'loaded, text',
    [
        (None, None),
        ({'NetworkLoad': 'Trained'}, None),
        ({'NetworkLoad': 'Trained', 'GlobalStepLoad': 20}, None),
        ({'NetworkLoad': 'Trained', 'GlobalStepLoad': 'Best'}, None),
        ({'NetworkLoad': 'Trained', 'itr_load': 'Auto', 'semi_epoch_load': 3}, None),
        ({'NetworkLoad': 'Trained', 'itr_load': -1}, "LoadedNetwork.itr_load is -1; accepted: one of 'Auto'"),
        ({}, 'LoadedNetwork.NetworkLoad is missing'),
        ({'NetworkLoad': None}, 'LoadedNetwork.NetworkLoad is None'),
        (3, 'LoadedNetwork is 3'),
        ({'NetworkLoad': 'Trained', 'GlobalStep': 3}, "Did you mean 'GlobalStepLoad'?"),
        ({'NetworkLoad': 'Trained', 'stage': 4}, 'LoadedNetwork.stage is not a setting'),
        ({'NetworkLoad': 'Trained', 'GlobalStepLoad': 'x'}, "LoadedNetwork.GlobalStepLoad is 'x'; accepted: 'Last'"),
        ({'NetworkLoad': 'Nobody'}, 'LoadedNetwork.NetworkLoad: Nobody has no checkpoint in ./Experiments/'),
    ],
)
def test_the_network_to_begin_with(setting, loaded, text):
    setting['LoadedNetwork'] = loaded
    if text is None:
        assert su.find_problems(setting) == []
    else:
        assert text in the_problem(setting)
