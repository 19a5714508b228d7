"""What `discover` finds: the parts of a model, block by block, and what each block lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import mlx.core as mx
import mlx.nn as nn


@dataclass(frozen=True, eq=False)
class Term:
    """A module's output that the residual stream receives, times `coefficient`."""

    module: nn.Module
    coefficient: float = 1.0


@dataclass(frozen=True, eq=False)
class Attention:
    """The child of a block whose call contains its one attention, and the sizes of its heads.

    d_head is the width of q and k, d_value that of v and z. `by_hand`: the softmax is written
    out in the model's file; `values` and `output` are then the modules whose output is v and
    whose input is z.
    """

    module: nn.Module
    heads: int
    kv_heads: int
    d_head: int
    d_value: int
    by_hand: bool = False
    values: nn.Module | None = None
    output: nn.Module | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """One layer's parts.

    stream: which argument of its call the residual stream is, by position or keyword; None
    where there is no single one.
    entry: where the block first norms the stream itself (RWKV's first), the module that does.
    attn_out, mlp_out: the terms whose sum the stream receives; resid_post = scale ·
    (resid_pre + attn_out + mlp_out). neurons: the module whose input is the MLP's hidden
    activation, [batch, pos, d_mlp]. missing: the reason by kind of site; "attn" stands for
    all kinds that have heads.
    """

    module: nn.Module
    stream: int | str | None = 0
    entry: nn.Module | None = None
    attention: Attention | None = None
    attn_out: tuple[Term, ...] = ()
    mlp_out: tuple[Term, ...] = ()
    neurons: nn.Module | None = None
    d_mlp: int = 0
    scale: float = 1.0
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The parts of a model, and its sizes. missing: the reason by kind of the model's own sites.

    embed: the module that puts out the first block's input; None where the model goes on to
    scale or norm its embeddings: the site is then the first block's input. final_norm: None
    where no module norms the last block's output.
    """

    embed: nn.Module | None
    blocks: tuple[Block, ...]
    final_norm: nn.Module | None
    unembed: Callable[[mx.array], mx.array]
    d_model: int
    vocab_size: int
    tied: bool
    dtype: mx.Dtype = mx.float32
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def heads(self) -> int:
        """Query heads of the block that has most; 0 without attention. So the other sizes."""
        return max(self._of_attention("heads"), default=0)

    @property
    def kv_heads(self) -> int:
        return max(self._of_attention("kv_heads"), default=0)

    @property
    def d_head(self) -> int:
        return max(self._of_attention("d_head"), default=0)

    @property
    def d_mlp(self) -> int:
        return max((block.d_mlp for block in self.blocks), default=0)

    def _of_attention(self, size: str) -> Iterable[int]:
        return [getattr(block.attention, size) for block in self.blocks if block.attention]
