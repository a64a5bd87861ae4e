"""Tasks for workers of a cluster, which import this file."""

import os
import signal
import time

from functions.artificial_generation import batch

make_one = batch.make_one
HELD = 'held'


def make_one_held(setting, im_info, verify):
    """:func:`batch.make_one`; the first to come to one of the items writes its process into a file and waits in it."""
    place = setting['RootFolder'] + HELD
    if im_info['dsmooth'] == 9 and not os.path.exists(place):

        def hold(*arguments):
            with open(place + '.new', 'w') as stream:
                stream.write(str(os.getpid()))
            os.rename(place + '.new', place)
            time.sleep(600)

        batch.produce = hold
    return make_one(setting, im_info, verify)


def die(number):
    """A task that kills its worker."""
    os.kill(os.getpid(), signal.SIGKILL)


def where(number):
    """The process and the folder in which a task is done."""
    return number, os.getpid(), os.getcwd()


def wait_long(number):
    """A task that is not done in time."""
    time.sleep(600)
