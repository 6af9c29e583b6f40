"""`python -m nqsbench` is the command `nqsbench`."""

import sys

from nqsbench.cli import main

sys.exit(main())
