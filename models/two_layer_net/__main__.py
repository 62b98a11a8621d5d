"""``python -m models.two_layer_net``, and with ``sweep`` behind it the grid search."""

import sys

from models import command_line, sweep_command

if sys.argv[1:2] == ["sweep"]:
    raise SystemExit(sweep_command.main(sys.argv[2:]))
raise SystemExit(command_line.main())
