"""Tasks for workers of a cluster, which import this file."""

import os
import signal
import time

from functions.artificial_generation import batch

make_one = batch.make_one
HELD = 'held'


def hold(place):
    """A task that writes its process into a file and is not done in time."""
    with open(place + '.new', 'w') as stream:
        stream.write(str(os.getpid()))
    os.rename(place + '.new', place)
    time.sleep(600)


def make_one_held(setting, im_info, verify):
    """:func:`batch.make_one`; the first to come to one of the items is held in it."""
    place = setting['RootFolder'] + HELD
    if im_info['dsmooth'] == 9 and not os.path.exists(place):
        batch.produce = lambda *arguments: hold(place)
    return make_one(setting, im_info, verify)


def die(number):
    """A task that kills its worker."""
    os.kill(os.getpid(), signal.SIGKILL)


def where(number):
    """The process and the folder in which a task is done."""
    return number, os.getpid(), os.getcwd()
