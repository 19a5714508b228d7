"""The screen reads the log itself, and must not wait for numpy or MLX to be imported."""

from mlxterp_engine.runlog.log import RunLog

from logged import done, python

READS = """
import sys
from pathlib import Path
from mlxterp_engine.runlog import comparison, recording, replay
from mlxterp_engine.runlog.log import RunLog

with RunLog.open(Path(sys.argv[1])) as log:
    (line,) = log.lines(search="france")
    assert replay.request_of(log.record(line.id)).prompt
    values = log.result(line.id).arrays["entropy"].tolist()
print(values[0], *({"mlx", "numpy", "safetensors"} & set(sys.modules)))
"""


def test_a_result_is_listed_and_read_with_neither(folder):
    with RunLog.open(folder) as log:
        done(log)
    out, err = python(READS, folder).communicate(timeout=60)
    assert (out, err) == ("1.0\n", "")
