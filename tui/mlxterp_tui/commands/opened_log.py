"""The research log, as commands open it."""

from __future__ import annotations

import sys

from mlxterp_engine.runlog.log import RunLog


def opened() -> RunLog:
    """What had to be mended is said on standard error."""
    log = RunLog.open()
    if log.notice:
        print(f"mlxterp-tui: {log.notice}", file=sys.stderr)
    return log
