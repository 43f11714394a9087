"""`python -m kpp_lib.tour`: the same as `kpp tour`."""

import sys

from .run import main

sys.exit(main())
