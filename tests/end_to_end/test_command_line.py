"""The command line as its users meet it: real processes, real sockets, a real model."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

STAND_IN = Path(__file__).parents[1] / "engine" / "worker"
PROMPT = "The capital of France is"
PATIENCE = 60.0


def start(*words, **options):
    command = [sys.executable, "-m", "mlxterp_tui", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, text=True, **(pipes | options))


def cli(*words, **options):
    """(exit status, standard output, standard error)"""
    with start(*words, **options) as process:
        out, err = process.communicate(timeout=4 * PATIENCE)
    return process.returncode, out, err


def refusal(*words):
    """The one line with which a bad command line is refused."""
    status, out, err = cli(*words)
    assert (status, out) == (2, "")
    [*progress, line] = err.splitlines()
    assert all(" % " in earlier for earlier in progress)
    return line.removeprefix("mlxterp-tui: ")


def until(condition):
    """Poll until the condition holds; its value."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.02)
    return found


def engine_processes(home):
    """Engine processes that belong to this home."""
    found = [(pid, words) for pid, words in command_lines() if str(home) in words]
    return [pid for pid, words in found if "mlxterp_engine.worker" in words]


def command_lines():
    """(process id, command line) of everything that runs."""
    if Path("/proc/self").exists():
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                yield int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")
        return
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        pid, _, words = line.strip().partition(" ")
        yield int(pid), words


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home; whatever engine was started in it is stopped."""
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    cli("engine", "stop", "--force")
    until(lambda: not engine_processes(tmp_path / "home"))


@pytest.fixture
def stand_in(home, monkeypatch):
    """Engines whose jobs do what their prompt says, without MLX."""
    monkeypatch.setenv("MLXTERP_WORKBENCH", "stand_in:StandIn")
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN))
    return home


def glass(*words):
    return ("run", "logit-lens", "--model", "glass-tiny", "--prompt", "Alice was", *words)


# One experiment, no screen.


def test_the_default_model_knows_the_capital_of_france(home_with_model):
    status, out, err = cli("run", "logit-lens", "--prompt", PROMPT, "--json")
    assert status == 0, err
    lens = json.loads(out)
    assert lens["top_tokens"][-1][-1][0] == " Paris"
    assert lens["meta"]["tokens"][0] == ["The", " capital", " of", " France", " is"]
    assert lens["layer"] == list(range(-1, 30))
    assert np.shape(lens["top_probs"]) == (31, 5, 5)
    contract = lens["meta"]["contracts"]["lens_last_row"]
    assert contract["ok"]
    assert contract["error"] <= 5e-4
    assert engine_processes(home_with_model) == []


def test_without_json_and_out_a_short_table_is_printed(home):
    status, out, _ = cli(*glass())
    assert status == 0
    assert "layer" in out
    assert "embed" in out
    assert "lens_last_row" in out


def test_a_causal_trace_adds_the_noise_of_a_file(home, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.3, (2, 1, 128))  # the token " day"
    np.savez(tmp_path / "noise.npz", noise=noise)
    words = ["run", "causal-tracing", "--model", "glass-tiny", "--prompt", "One day the cat"]
    words += ["--subject", "day", "--noise-file", str(tmp_path / "noise.npz")]
    status, out, err = cli(*words, "--window", "2", "--window-rule", "paper", "--json")
    assert status == 0, err
    traced = json.loads(out)
    layers, tokens = 4, len(traced["meta"]["tokens"][0])
    for name in ("hidden", "mlp", "attn"):
        assert np.shape(traced[name]) == (layers, tokens)
        assert np.shape(traced[f"{name}_samples"]) == (2, layers, tokens)
        assert np.allclose(traced[name], np.mean(traced[f"{name}_samples"], axis=0), atol=1e-6)
    assert traced["p_clean"] > traced["p_corrupt"]
    assert traced["hidden"][-1][-1] == pytest.approx(traced["p_clean"], abs=1e-6)
    assert traced["windows"] == [[0, 2], [1, 3], [2, 4], [3, 4]]
    assert refusal(*words, "--samples", "3").endswith("holds noise of 2; leave samples out")
    assert "does not stand in the prompt" in refusal(*words[:-4], "--subject", "dog")


def test_arrays_go_to_the_file_asked_for_as_they_go_to_json(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = cli(*glass("--json", "--out", "lens.npz", "--top-k", "3"))
    assert status == 0
    printed = json.loads(out)
    with np.load(tmp_path / "lens.npz", allow_pickle=False) as written:
        meta = json.loads(str(written["meta"]))
        assert written["top_ids"].tolist() == printed["top_ids"]
        assert written["top_ids"].shape[-1] == 3
        assert np.array_equal(written["entropy"], np.float32(printed["entropy"]))
    assert meta["experiment"] == printed["meta"]["experiment"]
    assert str(tmp_path / "lens.npz") in err


def test_a_trace_gives_one_array_a_site(home):
    words = ("run", "trace", "--model", "glass-tiny", "--prompt", "Alice was", "--json")
    status, out, _ = cli(*words, "--sites", "blocks.0.resid_post", "blocks.1.attn.pattern")
    traced = json.loads(out)
    assert status == 0
    tokens = len(traced["meta"]["tokens"][0])
    assert np.shape(traced["blocks.0.resid_post"]) == (tokens, 128)
    assert np.shape(traced["blocks.1.attn.pattern"]) == (4, tokens, tokens)


def test_unknown_numbers_are_null_in_json(stand_in):
    status, out, _ = cli("run", "logit-lens", "--prompt", "rows 1", "--json")
    assert status == 0
    assert json.loads(out)["entropy"] == [1.0, None]


def test_progress_goes_to_standard_error_alone(stand_in):
    _, out, err = cli("run", "logit-lens", "--prompt", "rows 4", "--json")
    assert len(out.splitlines()) == 1
    assert "% layer" in err


def test_on_a_terminal_progress_is_a_bar(stand_in, tmp_path):
    ours, theirs = pty.openpty()
    prompt = f"hold {tmp_path / 'go'}"
    with start("run", "logit-lens", "--prompt", prompt, "--json", stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while b"holding" not in seen:
            seen += os.read(ours, 1000)
        (tmp_path / "go").touch()
        assert process.wait(PATIENCE) == 0
    os.close(ours)
    assert "░  25 % holding" in seen.decode()


# What was asked wrongly.


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rnu",), "there is no command 'rnu'; closest: run"),
        (("--modle", "x"), "--modle is no option of mlxterp-tui; closest: --model"),
        (("--device", "tpu"), "--device: 'tpu' is not known; give one of auto, cpu, gpu"),
        ((), "the screen needs a terminal"),
        (("run",), "EXPERIMENT is missing; there are: logit-lens"),
        (("run", "logit-lense"), "there is no experiment 'logit-lense'; there are: logit-lens"),
        (("run", "logit-lens"), "--prompt is missing"),
        (("run", "logit-lens", "--prompt", ""), "prompt is empty; give some text"),
        (("run", "logit-lens", "--prompt", "a\udcff"), "holds an invalid character at 1"),
        (glass("--top-k", "many"), "--top-k: 'many' is no whole number"),
        (glass("--top-k", "0"), "top_k is 0; give a whole number from 1 to 50"),
        (glass("--bos", "maybe"), "--bos: 'maybe' is not known; give one of auto, on, off"),
        (glass("--json", "--detach"), "--json has nothing to print with --detach"),
        (glass("--target", " and so on"), "' and so on'"),
        (("run", "logit-lens", "--model", "nowhere", "--prompt", "a"), "no model 'nowhere'"),
        (("run", "logit-lens", "--model", "./no.gguf", "--prompt", "a"), "no.gguf"),
        (("run", "trace", "--prompt", "a"), "--sites is missing"),
        (
            (
                "run",
                "trace",
                "--model",
                "glass-tiny",
                "--prompt",
                "a",
                "--sites",
                "blocks.0.resid_pots",
            ),
            "closest: ",
        ),
        (("models",), "mlxterp-tui models needs one of: list, get, info"),
        (("models", "gte"), "has no command 'gte'; closest: get"),
        (("models", "get"), "REF is missing"),
        (("jobs", "show", "nosuch"), "there is no job 'nosuch'"),
        (("jobs", "wait", "00000000"), "there is no job '00000000'"),
        (("engine", "stop", "--hard"), "--hard is no option of mlxterp-tui engine stop"),
    ],
)
def test_each_mistake_is_one_sentence(home, words, told):
    assert told in refusal(*words)


def test_an_out_that_can_not_be_written_is_refused_before_the_run(home, tmp_path):
    missing = tmp_path / "missing" / "lens.npz"
    assert str(missing.parent) in refusal(*glass("--out", missing))
    assert not missing.parent.exists()


def test_a_bad_run_leaves_the_file_at_out_as_it_was(home, tmp_path):
    out = tmp_path / "lens.npz"
    out.write_bytes(b"mine")
    refusal(*glass("--target", " and so on", "--out", out))
    assert out.read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["lens.npz"]


def test_a_home_that_can_not_be_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "file"))
    assert "MLXTERP_HOME" in refusal(*glass())


def test_a_failed_run_names_its_log(stand_in):
    status, out, err = cli("run", "logit-lens", "--prompt", "fault")
    assert (status, out) == (3, "")
    last = err.splitlines()[-1]
    assert "ZeroDivisionError" in last
    assert str(stand_in / "state" / "run.log") in last
    assert "Traceback" not in err
    assert "Traceback" in (stand_in / "state" / "run.log").read_text()


def test_an_engine_killed_in_a_run_is_told_in_one_line(stand_in, tmp_path):
    prompt = f"hold {tmp_path / 'go'}"
    with start("run", "logit-lens", "--prompt", prompt) as process:
        pid = until(lambda: running(stand_in, "run.log"))
        os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (3, "")
    assert "the engine died (signal 9); its log is" in err.splitlines()[-1]


def test_ctrl_c_cancels_and_leaves_no_process(stand_in, tmp_path):
    prompt = f"hold {tmp_path / 'go'}"
    with start("run", "logit-lens", "--prompt", prompt) as process:
        until(lambda: running(stand_in, "run.log"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, "")
    assert "was cancelled" in err.splitlines()[-1]
    assert (tmp_path / "go.closed").exists()
    assert engine_processes(stand_in) == []


def running(home, log):
    """The engine process that runs a job, as its log tells."""
    path = home / "state" / log
    lines = path.read_text().splitlines() if path.exists() else []
    begun = [line for line in lines if "begins" in line]
    return int(begun[-1].partition("[")[2].partition("]")[0]) if begun else None


# The background engine and its jobs.


def test_a_detached_run_is_fetched_later_even_from_a_stopped_engine(home, tmp_path):
    status, out, _ = cli(*glass("--detach"))
    job = out.strip()
    assert (status, len(job)) == (0, 8)
    status, out, _ = cli("jobs", "wait", job, "--json", "--out", tmp_path / "lens.npz")
    assert status == 0
    first = json.loads(out)
    cli("engine", "stop")
    (tmp_path / "lens.npz").unlink()
    status, out, _ = cli("jobs", "wait", job, "--json", "--out", tmp_path / "lens.npz")
    assert status == 0
    assert json.loads(out) == first
    assert (tmp_path / "lens.npz").exists()


def test_jobs_are_listed_shown_and_cancelled(stand_in, tmp_path):
    _, out, _ = cli("run", "logit-lens", "--prompt", f"hold {tmp_path / 'go'}", "--detach")
    job = out.strip()
    until(lambda: running(stand_in, "engine.log"))
    [info] = json.loads(cli("jobs", "list", "--json")[1])
    assert (info["id"], info["experiment"], info["state"]) == (job, "logit-lens", "running")
    assert {"progress", "started"} <= set(info)
    assert json.loads(cli("engine", "status", "--json")[1])["jobs"][0]["id"] == job
    assert "hold" in cli("jobs", "show", job)[1]
    assert cli("jobs", "cancel", job)[0] == 0
    status, out, _ = cli("jobs", "wait", job)
    assert (status, out) == (130, "")
    assert "cancelled" in cli("jobs", "list")[1]


def test_ctrl_c_while_waiting_leaves_the_job_alone(stand_in, tmp_path):
    _, out, _ = cli("run", "logit-lens", "--prompt", f"hold {tmp_path / 'go'}", "--detach")
    job = out.strip()
    with start("jobs", "wait", job) as waiting:
        assert waiting.stderr is not None
        assert "holding" in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(PATIENCE) == 130
    (tmp_path / "go").touch()
    assert cli("jobs", "wait", job, "--json")[0] == 0


def test_a_job_whose_engine_was_killed_is_told_as_failed(stand_in, tmp_path):
    _, out, _ = cli("run", "logit-lens", "--prompt", f"hold {tmp_path / 'go'}", "--detach")
    os.kill(until(lambda: running(stand_in, "engine.log")), signal.SIGKILL)
    status, printed, err = cli("jobs", "wait", out.strip())
    assert (status, printed) == (3, "")
    assert "the engine stopped before this job ended" in err.splitlines()[-1]


def test_the_engine_is_started_looked_at_restarted_and_stopped(stand_in):
    assert cli("engine", "status")[0] == 1
    assert cli("engine", "status", "--json")[:2] == (1, "null\n")
    assert cli("engine", "start")[0] == 0
    status, out, _ = cli("engine", "status", "--json")
    first = json.loads(out)
    assert (status, first["jobs"], first["model"]) == (0, [], None)
    assert engine_processes(stand_in) == [first["pid"]]
    assert cli("engine", "restart")[0] == 0
    assert json.loads(cli("engine", "status", "--json")[1])["pid"] != first["pid"]
    assert cli("engine", "stop")[0] == 0
    assert engine_processes(stand_in) == []


def test_an_engine_with_work_is_stopped_only_by_force(stand_in, tmp_path):
    cli("run", "logit-lens", "--prompt", f"hold {tmp_path / 'go'}", "--detach")
    assert "--force" in refusal("engine", "stop")
    assert cli("engine", "stop", "--force")[0] == 0


# Models, the doctor, and the rest.


def test_models_are_listed_and_described(home):
    listed = json.loads(cli("models", "list", "--json")[1])
    assert {"smollm2-135m", "glass-tiny"} <= {entry["reference"] for entry in listed}
    card = json.loads(cli("models", "info", "glass-tiny", "--json")[1])
    assert (card["layers"], card["heads"], card["parameters"]) == (4, 4, 852_608)
    assert card["sha256"] in cli("models", "info", "glass-tiny")[1]
    assert json.loads(cli("models", "get", "glass-tiny", "--json")[1])["sha256"] == card["sha256"]


def test_the_doctor_looks_at_the_engine_the_terminal_and_the_folders(home, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-ghostty")
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    findings = json.loads(cli("doctor", "--json")[1])
    by_name = {(found["topic"], found["what"]): found["value"] for found in findings}
    assert by_name["terminal", "colours"].startswith("16: TERM=xterm-ghostty")
    assert by_name["folders", "run log"] == str(home / "state" / "run.log")
    assert {"device", "parity", "versions"} <= {found["topic"] for found in findings}
    assert all(found["ok"] for found in findings if found["topic"] == "parity")


def test_the_doctor_speaks_of_an_engine_that_can_not_start(stand_in, monkeypatch):
    monkeypatch.setenv("MLXTERP_WORKBENCH", "stand_in:broken")
    status, out, _ = cli("doctor")
    assert status == 3
    assert "WRONG" in out
    assert "libmlx.so: cannot open shared object file" in out
    assert "terminal" in out


def test_a_reader_that_goes_away_is_no_error(stand_in):
    process = start("run", "logit-lens", "--prompt", "large 2", "--json")
    with process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_help_is_told_without_loading_anything_heavy():
    script = (
        "import sys\n"
        "from mlxterp_tui.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('heavy:', *{'asyncio', 'textual', 'rich', 'numpy', 'mlx'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "usage: mlxterp-tui" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy:"


@pytest.mark.parametrize("command", ["run", "models", "engine", "jobs"])
def test_each_command_lists_what_it_can(command, home):
    status, out, _ = cli(command, "--help")
    assert status == 0
    assert f"usage: mlxterp-tui {command}" in out


def test_the_version_is_told():
    assert cli("--version")[:2] == (0, "mlxterp-tui 0.1.0\n")
