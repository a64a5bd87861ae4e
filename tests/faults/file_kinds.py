"""One small file of every kind that is read: name -> (function that makes it in a folder, function that reads it).

What a function reads is a number, an array, text, or nested lists of them, so that it can be compared.
"""

import os
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[1:1] = [os.path.join(REPOSITORY, 'tests', room) for room in ('preprocessing', 'registration', 'elastix')]
