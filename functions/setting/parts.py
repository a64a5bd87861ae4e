"""Parts of a list of work, for array jobs."""

from .errors import InputError


def part_name(part):
    """What a part is called in the names of files: '3of8' for '3/8'."""
    return part.replace('/', 'of')


def take_part(items, part):
    """Every n-th item from the k-th for ``part`` 'k/n' or (k, n), k from 1; all for None; or :class:`InputError`."""
    if part is None:
        return list(items)
    try:
        number, count = [int(word) for word in (part.split('/') if isinstance(part, str) else part)]
    except (TypeError, ValueError) as error:
        raise InputError(f"part must look like '3/8'; got {part!r}.") from error
    if not 1 <= number <= count:
        raise InputError(f"part '3/8' means the third of eight; got {part!r}.")
    return list(items)[number - 1 :: count]
