"""mlx-lm's files without its start, and mlx-lm as ever for those who use it beside us."""

import subprocess
import sys


def fresh(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_engine_is_imported_without_transformers():
    assert fresh(
        "import sys, mlxterp_engine.techniques.registry, mlxterp_engine.interpretable\n"
        "print('mlx_lm.models.cache' in sys.modules, 'transformers' in sys.modules)"
    ) == ["True", "False"]


def test_mlx_lm_used_beside_us_is_whole_and_one():
    assert fresh(
        "import mlxterp_engine.interpretable\n"
        "from mlxterp_engine.tracing.generation import make_sampler\n"
        "import mlx_lm, mlx_lm.models.cache\n"
        "print(callable(mlx_lm.load), mlx_lm.sample_utils.make_sampler is make_sampler)\n"
        "print(mlx_lm.models.cache.KVCache.__name__, type(mlx_lm).__name__, mlx_lm.__version__[0])"
    ) == ["True", "True", "KVCache", "module", "0"]


def test_started_first_it_is_used_as_it_is():
    assert fresh(
        "import mlxterp_engine.backend, mlx_lm\nbefore = mlx_lm.load\n"
        "import mlxterp_engine.interpretable\nprint(mlx_lm.load is before)"
    ) == ["True"]
