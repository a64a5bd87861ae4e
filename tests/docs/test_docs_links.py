"""Links between the documents lead somewhere, in the repository and on the site."""

import glob
import os
import re
import subprocess
import sys

import pytest

from functions.commands.regnet import COMMANDS

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATTERNS = ('*.md', 'docs/*.md', 'Data/*.md', 'Elastix/*.md', 'Experiments/*.md', 'Experiments/RegNet/chest_*/*.md')
DOCUMENTS = sorted(
    os.path.relpath(path, REPOSITORY).replace(os.sep, '/')
    for pattern in PATTERNS
    for path in glob.glob(os.path.join(REPOSITORY, pattern))
)


def read(document):
    with open(os.path.join(REPOSITORY, document), encoding='utf-8') as stream:
        return stream.read()


def without_code(text):
    return re.sub(r'`[^`\n]*`', '', re.sub(r'(?ms)^```.*?^```$', '', text))


def anchors(document):
    """Anchors of the headings, where GitHub and Python-Markdown agree about them."""
    found = re.findall(r'(?m)^#+ (.+)$', re.sub(r'(?ms)^```.*?^```$', '', read(document)))
    plain = [re.sub(r'[^\w\- ]', '', heading.lower()).strip() for heading in found]
    return {name.replace(' ', '-') for name in plain if '  ' not in name}


def broken_links(document):
    found = []
    for target in re.findall(r'\]\(([^)\s]+)\)', without_code(read(document))):
        path, _, anchor = target.partition('#')
        if re.match(r'https?://', target):
            continue
        there = os.path.normpath(os.path.join(os.path.dirname(document), path)) if path else document
        there = there.replace(os.sep, '/')
        if not os.path.exists(os.path.join(REPOSITORY, there)) or (anchor and anchor not in anchors(there)):
            found.append(target)
    return found


@pytest.mark.parametrize('document', DOCUMENTS)
def test_links_lead_somewhere(document):
    assert broken_links(document) == []


def test_there_are_links_to_look_at():
    found = {document: re.findall(r'\]\(([^)\s]+)\)', without_code(read(document))) for document in DOCUMENTS}
    assert len(found['README.md']) > 20
    assert any('#' in link and '://' not in link for links in found.values() for link in links)


def test_a_broken_link_would_be_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), 'REPOSITORY', str(tmp_path))
    text = '# One `thing`\n[a](a.md) [b](#one-thing) [c](#two) [d](gone.md)\n```\n# no\n[e](no.md)\n```\n'
    (tmp_path / 'a.md').write_text(text)
    assert broken_links('a.md') == ['#two', 'gone.md']


def test_every_picture_and_page_is_used():
    text = ''.join(read(document) for document in DOCUMENTS) + read('mkdocs.yml')
    names = [os.path.basename(path) for kind in ('*.png', '*.md') for path in glob.glob(f'{REPOSITORY}/docs/{kind}')]
    assert [name for name in names if name not in text] == []


def test_the_readme_fits_two_screens():
    assert len(read('README.md').splitlines()) <= 110


def test_pages_are_built_without_a_warning(tmp_path):
    pytest.importorskip('mkdocs', reason='mkdocs is not installed (docs/requirements.txt)')
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--quiet', '--site-dir', str(tmp_path / 'site')]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and not done.stdout, done.stdout.decode()
    built = {path.name for path in (tmp_path / 'site').iterdir()}
    pages = {name[5:-3] + '.html' for name in DOCUMENTS if name.startswith('docs/')}
    assert pages | {'CHANGELOG.html', 'chest_matching_S4.html', 'api.html', 'settings.schema.json'} <= built
    assert 'figures' not in built and not any(name.endswith('.py') for name in built)
    # Python-Markdown wants an empty line before a list or a table.
    for page in (tmp_path / 'site').glob('*.html'):
        paragraphs = re.findall('(?s)<p>(.*?)</p>', page.read_text(encoding='utf-8'))
        assert not [text for text in paragraphs if re.search(r'\n(- |\d+\. |\|)', text)], page.name
    # A link out of docs/ leads to the page of that file.
    assert 'href="chest_matching_S4.html"' in (tmp_path / 'site' / 'register.html').read_text(encoding='utf-8')


def test_words_are_spelt(tmp_path):
    pytest.importorskip('codespell_lib', reason='codespell is not installed (docs/requirements.txt)')
    (tmp_path / 'wrong.md').write_text('A test that can not fail is usefull to nobody.')
    command = [sys.executable, '-m', 'codespell_lib', *DOCUMENTS, 'functions', 'docs', 'RunRegNet3D.py', '.github']
    for files, words in (([], []), ([str(tmp_path / 'wrong.md')], ['usefull'])):
        options = ['--skip', '*.png,*.pyc', '--ignore-words-list', 'tre,te,nd,leadin']
        done = subprocess.run(
            command + files + options, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        text = done.stdout.decode()
        assert (done.returncode == 0) == (not words) and all(word in text for word in words), text


def test_the_citation_is_valid():
    pytest.importorskip('cffconvert', reason='cffconvert is not installed (docs/requirements.txt)')
    from cffconvert.citation import Citation

    Citation(read('CITATION.cff')).validate()
    with pytest.raises(Exception, match='authors|required'):
        Citation(read('CITATION.cff').replace('authors:\n  - name', 'author:\n  - name')).validate()


def test_named_tests_and_modules_exist():
    text = '\n'.join(read(document) for document in DOCUMENTS if not document.startswith('CHANGELOG'))
    for path, _, name in re.findall(r'`((?:tests|functions|docs)/[\w/]+\.py)(::(\w+))?`', text):
        assert path.endswith('/NAME.py') or (f'def {name}' if name else '') in read(path), (path, name)
    for dotted in set(re.findall(r'python -m ((?:functions|tests|docs)\.[\w.]+)', text)):
        path = dotted.replace('.', '/')
        assert any(os.path.isfile(os.path.join(REPOSITORY, path + end)) for end in ('.py', '/__main__.py')), dotted


def test_named_options_exist():
    shown = subprocess.run(
        [sys.executable, 'RunRegNet3D.py', '--help'], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    text = '\n'.join(read(document) for document in DOCUMENTS if document.startswith(('README', 'docs/')))
    commands = re.findall(r'(?m)RunRegNet3D\.py( --.*)$', text)
    options = set(re.findall(r' (--\w+)', ' '.join(commands)))
    assert len(options) > 10 and [option for option in options if option not in shown] == []
    named = set(re.findall(r'`regnet ([a-z]+)', text))
    assert len(named) > 5 and named <= set(COMMANDS)


def test_symptoms_are_words_of_messages():
    sources = []
    for path in glob.glob(os.path.join(REPOSITORY, 'functions', '**', '*.py'), recursive=True):
        with open(path, encoding='utf-8') as stream:
            # Parts of a text that continues on the next line.
            sources.append(re.sub(r"""['"]\n\s+f?['"]""", '', stream.read()))
    cells = re.findall(r'(?m)^\| (`[^|]*?) \|', read('docs/troubleshooting.md'))
    words = [word for cell in cells for word in re.findall(r'`([^`]+)`', cell)]
    assert len(words) > 30
    assert [word for word in words if not any(word in source for source in sources)] == []


def test_the_hosted_workflow_runs_what_is_there():
    yaml = pytest.importorskip('yaml', reason='PyYAML is not installed (it comes with mkdocs)')
    jobs = yaml.safe_load(read('.github/workflows/tests.yml'))['jobs']
    assert 'bash .ci/run' in [step.get('run') for step in jobs['linux']['steps']]
    assert jobs['others']['strategy']['matrix']['os'] == ['windows-latest', 'macos-latest']
    (tests,) = [step['run'] for step in jobs['others']['steps'] if 'pytest' in step.get('run', '')]
    folders = re.findall(r'tests/\w+', tests)
    assert len(folders) > 3 and all(os.path.isdir(os.path.join(REPOSITORY, folder)) for folder in folders)
    for name in ('bug', 'idea'):
        head = read(f'.github/ISSUE_TEMPLATE/{name}.md').split('---\n')[1]
        assert set(yaml.safe_load(head)) == {'name', 'about', 'labels'}


def test_hosted_workflows_run_tests_that_exist():
    text = ''.join(read(f'.github/workflows/{name}.yml') for name in ('tests', 'nightly'))
    named = re.findall(r'tests/[\w/.]+', text)
    assert len(named) > 10 and [path for path in named if not os.path.exists(os.path.join(REPOSITORY, path))] == []
    # The nightly build takes the place of one line.
    (pattern,) = re.findall(r"sed -i 's/(.*)/tf-nightly /' dependencies.txt", text)
    assert len(re.findall(f'(?m){pattern}', read('dependencies.txt'))) == 1
