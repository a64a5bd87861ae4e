"""Runs notebooks."""

import pytest


def executed(path, folder, replace=None, by=None):
    """(text printed, number of pictures) of a notebook run in ``folder``; a text of its code may be replaced."""
    nbformat = pytest.importorskip('nbformat', reason='nbformat is not installed (docs/notebooks/requirements.txt)')
    nbclient = pytest.importorskip('nbclient', reason='nbclient is not installed (docs/notebooks/requirements.txt)')
    pytest.importorskip('ipykernel', reason='ipykernel is not installed (docs/notebooks/requirements.txt)')
    notebook = nbformat.read(path, as_version=4)
    if replace is not None:
        (cell,) = [cell for cell in notebook.cells if replace in cell.source]
        cell.source = cell.source.replace(replace, by)
    resources = {'metadata': {'path': str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name='python3', resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get('outputs', [])]
    assert not [output for output in outputs if output.output_type == 'error']
    text = ''.join(output.text for output in outputs if output.output_type == 'stream')
    return text, sum('image/png' in output.get('data', {}) for output in outputs)
