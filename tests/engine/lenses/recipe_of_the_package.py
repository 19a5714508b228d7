"""Three steps of the published recipe in torch, whose numbers `test_optimizers` holds.

python tests/engine/lenses/recipe_of_the_package.py (wants torch; was run with 2.15). The lines are
those of tuned-lens 0.2.0, `scripts/ingredients.py` and `scripts/train_loop.py`: the optimisers'
options, the schedule, the clip over all translators, then the step.
"""

from __future__ import annotations

STEPS = 3
START = {"a": [0.5, -1.0, 2.0], "b": [0.25, 0.0, -0.75]}
GRADIENTS = [
    {"a": [3.0, -4.0, 0.5], "b": [1.0, 2.0, -2.0]},
    {"a": [0.01, 0.02, -0.03], "b": [0.0, 0.1, 0.05]},
    {"a": [-0.5, 0.5, 0.25], "b": [2.0, -1.0, 0.75]},
]


def trained(name: str) -> dict[str, list[list[float]]]:
    """Each parameter after each step."""
    import torch

    parameters = {n: torch.nn.Parameter(torch.tensor(v)) for n, v in START.items()}
    if name == "sgd":
        options = {"lr": 1.0 * (1 - 0.9), "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}
        used = torch.optim.SGD(parameters.values(), **options)
    else:
        options = {"amsgrad": True, "betas": (0.9, 0.999), "lr": 1e-3, "weight_decay": 1e-3}
        used = torch.optim.Adam(parameters.values(), **options)
    falling = torch.optim.lr_scheduler.LambdaLR(used, lambda step: max(0, STEPS - step) / STEPS)
    path: dict[str, list[list[float]]] = {n: [] for n in START}
    for gradients in GRADIENTS:
        for n, values in gradients.items():
            parameters[n].grad = torch.tensor(values)
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        used.step()
        falling.step()
        for n, parameter in parameters.items():
            path[n].append(parameter.tolist())
    return path


if __name__ == "__main__":
    for name in ("sgd", "adam"):
        print(name, trained(name))
