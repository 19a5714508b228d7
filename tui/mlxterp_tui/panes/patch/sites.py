"""What each map of a patching run is of: its columns, its words, the addresses of its cells."""

from __future__ import annotations

from typing import NamedTuple

from mlxterp_tui.panes.patch.maps import Columns, Measure


class Shown(NamedTuple):
    """kind: the site's, as addresses call it; `attn.z` of a head. words: what is written over."""

    columns: Columns
    kind: str
    words: str
    measure: Measure = "effect"


SHOWN = {
    "resid_pre": Shown("position", "resid_pre", "residual stream before the block"),
    "attn_out": Shown("position", "attn_out", "attention output"),
    "mlp_out": Shown("position", "mlp_out", "MLP output"),
    "z": Shown("head", "attn.z", "head's mixed values"),
    "q": Shown("head", "attn.q", "head's queries"),
    "k": Shown("group", "attn.k", "keys"),
    "v": Shown("group", "attn.v", "values"),
    "pattern": Shown("head", "attn.pattern", "head's attention pattern"),
    "z_pos": Shown("position", "attn.z", "head's mixed values at one position"),
    "neurons": Shown("neuron", "mlp.post", "MLP neuron"),
    "effect": Shown("head", "attn.z", "head's path to the receivers"),
    "hidden": Shown("position", "resid_post", "hidden state", "probability"),
    "mlp": Shown("position", "mlp_out", "MLP outputs, a window of blocks", "probability"),
    "attn": Shown("position", "attn_out", "attention outputs, a window of blocks", "probability"),
    "hidden_severed": Shown(
        "position", "resid_post", "hidden state, later outputs as under noise", "probability"
    ),
}
TRACED = ("hidden", "mlp", "attn", "hidden_severed")
SHOWN |= {
    f"{name}_effect": SHOWN[name]._replace(columns="bucket", measure="gain") for name in TRACED
}
SHOWN |= {
    f"{name}_argmax_count": Shown(
        "bucket", SHOWN[name].kind, f"{SHOWN[name].words}: facts' largest effects", "count"
    )
    for name in TRACED
}

Z_POS, EFFECT = "z_pos", "effect"


class Sizes(NamedTuple):
    """Of the model: blocks, query heads, key-value heads, neurons of an MLP."""

    layers: int = 0
    heads: int = 1
    groups: int = 1
    neurons: int = 0

    @property
    def heads_a_group(self) -> int:
        """Query heads that share a key-value head."""
        return max(1, self.heads // max(1, self.groups))

    def heads_of_group(self, group: int) -> range:
        """The query heads that read a key-value head."""
        return range(group * self.heads_a_group, (group + 1) * self.heads_a_group)


UNKNOWN_SIZES = Sizes()


def array_name(name: str) -> str:
    """`z_pos` of the map `z_pos[4]`; others are called as their array."""
    return name.partition("[")[0]


def shown(name: str) -> Shown:
    return SHOWN[array_name(name)]


def of_block(name: str, block: int) -> str:
    """The name of one block's own map."""
    return f"{name}[{block}]"
