"""A hook of mkdocs: more pages, and links that lead where the pages are.

Files of the repository outside docs/ become pages too, and so do notebooks and docstrings. Pages are written so that
their links work in the repository. On the site, a link to a file of the repository that is no page, such as a source
file, becomes plain text.
"""

import glob
import json
import os
import re
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: Path in the repository -> page of the site.
PAGES = {name: name for name in ('CHANGELOG.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CODE_OF_CONDUCT.md')}
for card in glob.glob(os.path.join(REPOSITORY, 'Experiments', 'RegNet', '*', 'README.md')):
    PAGES['/'.join(card.split(os.sep)[-4:])] = card.split(os.sep)[-2] + '.md'
NOTEBOOKS = glob.glob(os.path.join(REPOSITORY, 'docs', 'notebooks', '*.ipynb'))
PAGES.update({f'docs/notebooks/{os.path.basename(p)}': f'notebook_{os.path.basename(p)[:-6]}.md' for p in NOTEBOOKS})
_LINK = re.compile(r'(!?)\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)')


def on_files(files, config):
    """Add the pages that lie outside docs/, and that of docstrings."""
    sys.path.insert(0, REPOSITORY)  # the command mkdocs does not look here
    from mkdocs.structure.files import File

    from docs import api_page

    for path, page in PAGES.items():
        with open(os.path.join(REPOSITORY, path), encoding='utf-8') as stream:
            text = notebook_page(stream, path) if path.endswith('.ipynb') else stream.read()
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, 'api.md', content=api_page.page()))
    return files


def notebook_page(stream, path):
    """The cells of a notebook as Markdown, without results, and where to find it."""
    cells = [(cell['cell_type'], ''.join(cell['source'])) for cell in json.load(stream)['cells']]
    texts = [f'```python\n{text}\n```' if kind == 'code' else text for kind, text in cells]
    return '\n\n'.join([*texts, f'This page is the notebook `{path}`.'])


def on_page_markdown(markdown, page, **_):
    """Rewrite the links of a page."""
    sources = {name: path for path, name in PAGES.items()}
    folder = os.path.dirname(sources.get(page.file.src_uri, 'docs/' + page.file.src_uri))

    def rewritten(link):
        image, text, target, anchor = link.groups()
        path = os.path.normpath(os.path.join(folder, target)).replace(os.sep, '/')
        if path in PAGES:
            return f'[{text}]({PAGES[path]}{anchor or ""})'
        return f'{image}[{text}]({path[5:]}{anchor or ""})' if path.startswith('docs/') else text

    return _LINK.sub(rewritten, markdown)
