"""Faults: what is injected and which promises hold is counted, and printed when pytest ends."""

import os
import shutil
import tempfile

import pytest
import small_commands
import small_inputs
from command_server import Server
from fault_count import Faults

_MODULES = (
    'RunRegNet3D',
    'small_graph',
    'functions.registration.pair_lists',
    'functions.registration.network_pyramid',
    'functions.evaluation.evaluate_experiments',
    'functions.evaluation.references',
    'functions.evaluation.comparison_plots',
    'functions.evaluation.registration_report',
    'training_fakes',
    'small_training',
)


@pytest.fixture
def faults(record_property):
    found = Faults()
    yield found
    record_property('faults', found.counts)


@pytest.fixture
def is_long(request):
    """Whether --faults-long asks for many faults instead of a seeded sample."""
    return request.config.getoption('--faults-long')


@pytest.fixture(scope='session')
def server():
    """Runs commands in processes of their own, see :mod:`command_server`."""
    found = Server(_MODULES)
    yield found
    found.close()


@pytest.fixture(scope='session')
def inputs(tmp_path_factory):
    """Folder of two scans, their lungs and a model, see :func:`small_inputs.make_inputs`."""
    folder = str(tmp_path_factory.mktemp('inputs'))
    small_inputs.make_inputs(folder)
    return folder


@pytest.fixture(scope='session')
def undisturbed(server, inputs, tmp_path_factory):
    """What the results of --register hold when nothing disturbs it, see :func:`small_inputs.tree`."""
    output = str(tmp_path_factory.mktemp('undisturbed') / 'out')
    assert server.start(small_inputs.register_words(inputs, output)).wait() == 0
    return small_inputs.tree(output)


@pytest.fixture
def open_folder():
    """A folder that everybody may read, below folders that everybody may read."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope='session')
def patient(server, tmp_path_factory):
    """Folder with a prepared patient of the phantom."""
    folder = str(tmp_path_factory.mktemp('patient'))
    small_commands.small_run(folder)
    command = server.start(small_commands.PREPARE, cwd=folder)
    assert command.wait() == 0, command.printed()
    return folder
