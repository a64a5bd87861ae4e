"""The command ``regnet``: its subcommands are the flags of the main script, and what goes wrong is one line."""

import json
import os
import re
import subprocess
import sys

import pytest

import functions
import RunRegNet3D
from functions.commands import regnet

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRAINING = ['--setting', 's.json', '--experiment', 'e', '--stage', '2', '--network', 'unet1', '-w', 'Root']


@pytest.mark.parametrize(
    'command, flags',
    [
        ('register a b --output o --stages 4 2', '--register a b --output o --stages 4 2'),
        ('register a b --output o --fixed_lung l --json', '--register a b --output o --fixed_lung l --json'),
        ('pairs p.csv --output o --model chest', '--pairs p.csv --output o --model chest'),
        ('sequence a b c --to 1 --output o --points p.csv', '--sequence a b c --to 1 --output o --points p.csv'),
        ('apply r --image i --inverse --quiet', '--apply r --image i --inverse --quiet'),
        ('prepare SPREAD --from f --cases 1 2', '--prepare SPREAD --from f --cases 1 2'),
        ('generate --part 1/2 --workers 3', '-g --part 1/2 --workers 3'),
        ('train --max_iterations 5 --fresh -ng', '--max_iterations 5 --fresh -ng'),
        ('evaluate a b --references --report', '--evaluate a b --references --report'),
        ('report a --landmarks b c', '--report a --landmarks b c'),
    ],
)
def test_a_subcommand_is_the_flags_of_the_script(command, flags):
    more = TRAINING if command.split()[0] in ('prepare', 'generate', 'train', 'evaluate') else ['--threads', '2']
    found, expected = (
        parse(words.split() + more)
        for parse, words in ((regnet.parse_arguments, command), (RunRegNet3D.parse_arguments, flags))
    )
    assert vars(found) == vars(expected)


@pytest.mark.parametrize(
    'words, prog, text',
    [
        ('register a b --output o --stagges 4', 'regnet register', "arguments: --stagges 4. did you mean '--s"),
        ('register a --output o', 'regnet register', 'required: MOVING'),
        ('register a b', 'regnet register', 'required: --output'),
        ('train --register a b', 'regnet train', 'unrecognized arguments: --register'),
        ('regster a b', 'regnet', "'regster'"),
        ('', 'regnet', 'required: COMMAND'),
        ('evaluate a --capture_range -1', 'regnet evaluate', 'must be above 0 mm'),
    ],
)
def test_a_wrong_option_is_one_line_that_says_where_to_look(words, prog, text, capsys):
    with pytest.raises(SystemExit) as ended:
        regnet.main(words.split())
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count('\n') == 1 and text in said
    assert said.startswith(prog + ': ') and said.endswith(f'; see {prog} --help\n')


def test_json_is_one_line_of_what_went_wrong(capsys):
    assert regnet.main(['register', 'nowhere', 'nothing', '--output', 'o', '--json']) == 2
    found = json.loads(capsys.readouterr().out)
    assert found == {'exit_code': 2, 'error': 'nowhere does not exist.'}


def test_addresses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    common = ['-w', 'Root', '--data', 'DIR-Lab_4D', '--cn', '2']
    assert regnet.main(['addresses', 'OriginalIm', 'full_reg_folder', '--pair', '0', '3', '--stage', '1'] + common) == 0
    image, results = capsys.readouterr().out.split()
    assert image == './Data/DIR-Lab/4DCT/mha/case2/case2_T00_RS1.mha'
    assert results.endswith('DIR-Lab_4D_cn2_type_im0_DIR-Lab_4D_cn2_type_im3/')
    assert regnet.main(['addresses'] + common) == 0
    listed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert len(listed) > 80 and listed['OriginalIm'] == './Data/DIR-Lab/4DCT/mha/case2/case2_T00_RS1_s4.mha'
    assert listed['ModelFolder'] == './Experiments/RegNet/phantom_unet1_S4/train/Model/'
    assert regnet.main(['addresses', 'OriginalImage'] + common) == 2 and os.listdir(str(tmp_path)) == []


def test_help_names_the_exit_codes_and_loads_nothing_heavy():
    code = 'import sys; from functions.commands import regnet\n'
    code += 'try: regnet.main(["train", "--help"])\nexcept SystemExit: print("modules", *sys.modules)'
    command = [sys.executable, '-c', code]
    printed, modules = subprocess.check_output(command, cwd=REPOSITORY).decode().split('\nmodules ')
    assert re.search(r'exit codes:\n  0    done\n.*\n  2    ', printed)
    assert 'functions.commands.steps' in modules.split()
    assert not set(modules.split()) & {'tensorflow', 'SimpleITK', 'scipy', 'matplotlib'}


def test_completion_in_bash(capsys):
    pytest.importorskip('shtab')
    with pytest.raises(SystemExit) as ended:
        regnet.main(['--print-completion', 'bash'])
    assert not ended.value.code
    script = capsys.readouterr().out
    for words, expected in (('re', 'register report'), ('register --moving_s', '--moving_series')):
        count = words.count(' ') + 1
        line = f'COMP_WORDS=(regnet {words}); COMP_CWORD={count}; _shtab_regnet; echo ${{COMPREPLY[@]}}'
        printed = subprocess.check_output(['bash'], input=f'{script}\n{line}'.encode())
        assert printed.decode().split() == expected.split()


@pytest.mark.parametrize('version', ['3, 8, 18', '3, 6, 15'])
def test_other_pythons_are_refused_in_one_sentence(version):
    code = f'import sys; sys.version_info = ({version}, "final", 0); from functions.__main__ import run; run()'
    ended = subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY, stderr=subprocess.PIPE)
    said = ended.stderr.decode()
    assert ended.returncode == 2 and said.count('\n') == 1 and 'accepted: 3.7' in said


def test_the_version_is_the_same_everywhere(capsys):
    for parse in (regnet.parse_arguments, RunRegNet3D.parse_arguments):
        with pytest.raises(SystemExit):
            parse(['--version'])
    assert capsys.readouterr().out == f'regnet {functions.__version__}\nRegNet {functions.__version__}\n'
    for name, line in (('CITATION.cff', r'^version: (.*)$'), ('CHANGELOG.md', r'^## (\S+)')):
        with open(os.path.join(REPOSITORY, name), encoding='utf-8') as stream:
            assert re.search(line, stream.read(), re.MULTILINE).group(1) == functions.__version__, name
