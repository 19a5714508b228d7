"""What the rows of a lens are called, and which lens it was."""

from __future__ import annotations

from mlxterp_engine.experiments import Result


def row_labels(result: Result) -> list[str]:
    """`embed` and the blocks' numbers; of states before and within blocks the last is the end."""
    layers = result.arrays["layer"].tolist()
    labels = ["embed" if layer < 0 else str(layer) for layer in layers]
    return labels if layers[0] < 0 else [*labels[:-1], "end"]


def which_lens(result: Result) -> list[str]:
    """Only what is not the plain logit lens behind each block: the lens, the state, the edits."""
    asked, lens = result.meta.experiment, result.strings.get("lens")
    said = []
    if lens:
        said.append(f"{lens['kind']} lens {lens['name']}, sha256 {lens['sha256'][:12]}")
        if "unchecked" in lens:
            said.append(f"not checked: {lens['unchecked']}")
    if asked.get("state", "resid_post") != "resid_post":
        said.append(f"the state read is {asked['state']}")
    for patch in asked.get("patch") or ():
        said.append(f"patched: {patch}, from {asked['patch_prompt']!r}")
    for edit in asked.get("intervention") or ():
        said.append(f"edited: {edit}")
    return said
