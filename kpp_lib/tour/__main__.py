"""`python -m kpp_lib.tour`: the same as `kpp tour`."""

import sys

from ..arguments import plain_streams
from .run import main

plain_streams()
sys.exit(main())
