"""Which file is where: ``regnet addresses``."""

from ..setting import setting_utils as su
from ..setting.data_sets import get_data_set
from ..setting.errors import InputError
from .script_settings import complete_setting, read_changes, script_block


def list_addresses(arguments, result):
    """Print the addresses of an image, its deformation, its pair and its experiment; nothing of it needs to exist.

    :param result: dictionary that gets ``addresses``, request -> address.
    :raises RegNetError: a request that does not exist, or cannot be named by case, type and deformation only.
    """
    setting = complete_setting(script_block(), arguments, read_changes(arguments.setting))
    data = arguments.data or setting['DataExpDict'][0]['data']
    types = arguments.pair or get_data_set(data, setting).expected_tre_pair or (0, 1)
    pair = [{'data': data, 'cn': arguments.cn, 'type_im': type_im, 'spacing': 'RS1'} for type_im in types]
    item = {name: getattr(arguments, name) for name in ('cn', 'type_im', 'dsmooth', 'step')}
    result['addresses'] = found = {}
    for request in arguments.requests or su.address_requests(data, setting):
        try:
            found[request] = su.address_generator(setting, request, data=data, pair_info=pair, **item)
        except InputError:
            if arguments.requests:
                raise
    for request, address in () if arguments.json else found.items():
        print(address if arguments.requests else f'{request:31} {address}')
