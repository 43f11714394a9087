"""`python -m kpp_lib`, for torchrun: the same as `kpp`."""

import sys

from .cli import main

sys.exit(main())
