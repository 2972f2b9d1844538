"""`python -m formant_mcp`: the same as the command `formant-mcp`."""

import sys

from formant_mcp.cli import main

sys.exit(main())
