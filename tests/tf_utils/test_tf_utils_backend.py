"""Loading TensorFlow is silent, but for what goes wrong."""

import logging
import os
import subprocess
import sys

import pytest

from functions.tf_utils import sessions
from functions.tf_utils.backend import tf

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOTES = 'WARNING: All log messages before absl::InitializeLog() ...\nI0000 00:00:1.2  1 port.cc:153] oneDNN is on\n'
LAST = 'F0000 00:00:1.3  1 cpu.cc:52] This processor has no AVX\n'


@pytest.mark.parametrize('end, code', [('os.abort()', -6), ('raise ImportError("libcudart")', 1)])
def test_a_tensorflow_that_cannot_be_loaded_says_why(tmp_path, end, code):
    (tmp_path / 'tensorflow').mkdir()
    code_of_it = f'import os\nos.write(2, {(NOTES + LAST).encode()!r})\n{end}\n'
    (tmp_path / 'tensorflow' / '__init__.py').write_text(code_of_it)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), REPOSITORY]))
    command = [sys.executable, '-c', 'import functions.tf_utils.backend']
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code and LAST in done.stderr and 'I0000' not in done.stderr
    assert ('libcudart' in done.stderr) == (code == 1)


def test_the_device_is_named_once_for_several_sessions(caplog):
    sessions._say_once.cache_clear()
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            sessions.open_session(tf.Graph(), threads=1).close()
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f'TensorFlow {tf.__version__} on ') and said.endswith('1 threads')
