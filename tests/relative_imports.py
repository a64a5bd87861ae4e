"""What a relative import names, for the tests that read the source."""


def imported_module(node, path):
    """Dotted name of the module of an ``ast.ImportFrom`` in the file ``path`` (below the repository, with ``/``)."""
    if not node.level:
        return node.module
    package = path.split('/')[: -node.level]
    return '.'.join(package + ([node.module] if node.module else []))
