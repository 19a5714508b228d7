"""Every experiment there is, asked of the tiny model that comes along."""

from __future__ import annotations

from mlxterp_engine.experiments import (
    ActivationPatching,
    Attention,
    AttributionPatching,
    CausalTracing,
    Generate,
    LogitLens,
    Patchscope,
    PathPatching,
    Request,
    Substitutes,
    Trace,
    TrainRidgeLens,
    TrainTunedLens,
    TunedLens,
)

PROMPT = "Once upon a 'time' `|"

EXAMPLES: dict[str, Request] = {
    "logit-lens": LogitLens(model="glass-tiny", prompt=PROMPT, top_k=3, target="e"),
    "tuned-lens": TunedLens(model="glass-tiny", prompt=PROMPT, top_k=3, lens="./lens"),
    "train-tuned-lens": TrainTunedLens(
        model="glass-tiny", steps=2, tokens_per_step=62, sequence_length=32, out_dir="./trained"
    ),
    "train-ridge-lens": TrainRidgeLens(
        model="glass-tiny", steps=2, tokens_per_step=310, sequence_length=32, out_dir="./ridge"
    ),
    "patchscope": Patchscope(
        model="glass-tiny", prompt=PROMPT, site="blocks.1.resid_post", max_tokens=4, top_k=3
    ),
    "trace": Trace(
        model="glass-tiny",
        prompt=PROMPT,
        sites=["*"],
        intervention=["blocks.1.mlp_out=add:vector.npz*2.0"],
    ),
    "attention": Attention(model="glass-tiny", prompt=PROMPT, layers=[0, 3]),
    "activation-patching": ActivationPatching(
        model="glass-tiny",
        clean="The 'cat' sat",
        corrupt="The 'bat' sat",
        answer="s",
        wrong="e",
        sites=["resid_pre,z,v"],
        by_position=True,
        layers=[1, 3],
    ),
    "attribution-patching": AttributionPatching(
        model="glass-tiny",
        clean="The 'cat' sat",
        corrupt="The 'bat' sat",
        answer="s",
        wrong="e",
        sites=["attn_out", "z"],
        top=2,
    ),
    "substitutes": Substitutes(model="glass-tiny", prompt="The 'cat' sat", span=[4, 5], count=3),
    "path-patching": PathPatching(
        model="glass-tiny",
        clean="The 'cat' sat",
        corrupt="The 'bat' sat",
        answer="s",
        wrong="e",
        receivers=["blocks.3.attn.q[1],blocks.2.attn.v[0]"],
    ),
    "causal-tracing": CausalTracing(
        model="glass-tiny",
        prompt="The 'cat' sat",
        subject="'cat'",
        samples=2,
        sever="attn",
        noise_levels=[1.0, 2.0],
    ),
    "generate": Generate(model="glass-tiny", prompt=PROMPT, max_tokens=6, temperature=1.0, seed=5),
}
