"""The screen in a real terminal: first frame, a key to its paint, the event loop at work."""

import asyncio
import statistics
import time

from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments

import pytest
from tui.terminal import Terminal

ENVIRON = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
LONG = " ".join(["one two three four"] * 16)


@pytest.fixture
def home(home_with_model):
    yield home_with_model
    with BlockingEngine.attach() as engine:
        engine.shutdown(force=True)


def start(home) -> tuple[Terminal, float]:
    begun = time.perf_counter()
    terminal = Terminal(["-m", "mlxterp_tui"], {**ENVIRON, "MLXTERP_HOME": str(home)})
    terminal.wait_for(b"prompt")
    return terminal, time.perf_counter() - begun


def test_first_frame_while_the_engine_still_loads(home):
    seconds = []
    for _ in range(5):
        terminal, taken = start(home)
        seconds.append(taken)
        terminal.close()
    print(f"\nfirst frame: {1e3 * statistics.median(seconds):.0f} ms of {sorted(seconds)}")


def test_a_cursor_key_in_a_grid_of_64_tokens(home):
    terminal, _ = start(home)
    terminal.wait_for(b"Paris")
    for key in (LONG, "\r"):
        terminal.press(key)
    terminal.read_until_quiet(2.0, first=10)
    terminal.press("\x1b")
    for _ in range(5):
        terminal.press("L")
    for name, key in (("left", "h"), ("down", "j")):
        for what, quiet in (("the grid", 0.02), ("and its inspector", 0.1)):
            costs = []
            for _ in range(12):
                costs.append(terminal.press(key, quiet=quiet))
                terminal.read_until_quiet(0.1)
            size, taken = (statistics.median(column) for column in zip(*costs, strict=True))
            print(f"\n{name}, {what}: {taken:.1f} ms, {size:.0f} bytes (400 × 50)")
    idle, _ = terminal.read_until_quiet(2.0)
    print(f"idle for 2 s: {len(idle)} bytes")
    terminal.close()


def shown(app) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join(segment.text for strip in strips for segment in strip)


async def test_the_event_loop_while_the_engine_works(home):
    gaps: list[float] = []

    async def probe() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.005)
            now = time.perf_counter()
            gaps.append(now - last - 0.005)
            last = now

    app = MlxterpApp(AppArguments())
    async with app.run_test(size=(200, 50)) as pilot:
        while "Paris" not in shown(app):
            await pilot.pause(0.1)
        watching = asyncio.create_task(probe())
        for _ in range(5):
            app.main.action_ask(LONG)
            await asyncio.sleep(2)
        watching.cancel()
    gaps.sort()
    p50, p99, most = (1e3 * gaps[int(at * (len(gaps) - 1))] for at in (0.5, 0.99, 1.0))
    print(f"\nlate by p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {most:.1f} ms")
