"""Options out of a request's fields: a new experiment needs no line here."""

from __future__ import annotations

import argparse
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mlxterp_engine.experiments import Layers, Request
from mlxterp_tui.commands.parser import Parser, layers, number, number_or, one_of, whole

import msgspec

_READ_AS = {int: whole, float: number, str: str}

MEANINGS = {
    "model": "name, folder, .gguf file or hub id",
    "seed": "of every random draw",
    "bos": "begin with the BOS token? auto: as the model's tokenizer does",
    "chat": "wrap the prompt in the model's chat template",
    "device": "where to compute",
    "dtype": "auto: float32 on a CPU, the model's own on a GPU",
    "prompt": "the text to read",
    "target": "a token to follow, verbatim, leading space included",
    "sites": "globs over site names, e.g. 'blocks.*.resid_post'",
    "activation-patching sites": "by position resid_pre,attn_out,mlp_out; by head z,q,k,v,pattern",
    "attribution-patching sites": "by position resid_pre,attn_out,mlp_out; by head z,q,k,v,pattern",
    "attribution-patching steps": "points of integrated gradients; 1: the gradient alone",
    "intervention": "SITE=OPERATION, e.g. blocks.5.mlp_out=zero, for some positions with @",
    "state": "which state of each block the rows are; resid_post: behind it",
    "patch": "SITE@POS or SITE@POS<FROM: a state of the patch prompt written there",
    "patch_prompt": "the text whose states --patch writes into the prompt",
    "lens": "a lens's name, as it is kept, or its folder",
    "site": "where the state is taken, e.g. blocks.8.resid_post",
    "position": "of the prompt; negative ones count from its end",
    "target_prompt": "the text that the state is written into",
    "target_position": "of the target prompt; negative ones count from its end",
    "target_layer": "the block whose same site is written over; the same one where not given",
    "clean": "the prompt that calls for the answer",
    "corrupt": "one of equally many tokens that calls for another",
    "answer": "the token that the clean prompt calls for, verbatim, leading space included",
    "wrong": "the token that the corrupt prompt calls for",
    "pairs": "a .jsonl file of {clean, corrupt, answer, wrong}, or ioi: made for this model",
    "count": "how many pairs",
    "subject": "words of the prompt that noise is added to, as they first stand there",
    "causal-tracing answer": "one token, verbatim; by default the one that the model gives first",
    "causal-tracing count": "how many facts",
    "causal-tracing resume": "take the draws that the same request had before it was stopped",
    "noise": "in standard deviations of the embedding's entries",
    "samples": "draws of noise (default: 10, or as many as the noise file holds)",
    "window": "blocks given back together (default: as much of the depth as the paper's 10 of 48)",
    "window_rule": "of 10 around block l: code, l-5 to l+4; paper, l-4 to l+5",
    "noise_file": "an .npz with noise[samples, subject tokens, width], added as it is",
    "sigma_from": "the embeddings whose standard deviation it is",
    "sever": "also the hidden states while that token's later mlp_out or attn_out stay noised",
    "noise_levels": "other noises whose p(answer) is told",
    "facts": "a .json file of {prompt, subject, answer}, or known, instead of one prompt",
    "span": "its first token and the one behind its last, e.g. 3 5",
    "substitutes count": "how many at most",
    "metric": "of the last token; logit-diff: the logit of answer less that of wrong",
    "direction": "denoise writes clean values into the corrupt run, noise the other way round",
    "by_position": "each head of --layers at each position too",
    "receivers": "final (the last block's output), or heads: blocks.20.attn.q[3], k[1], v[0,2]",
    "freeze": "what stays as in the unpatched run beside the sender: other heads, or MLPs too",
    "pad": "a token that fills the shorter prompt up where the two differ, e.g. ' the'",
    "align": "spans: prompts of unequal lengths, patched where positions correspond",
    "neurons": "each neuron of a block's MLP at a position, e.g. blocks.12@9 or 12@-1",
    "top": "how many of each map's cells are patched too, and as many drawn at random",
    "layers": "block numbers with commas between them",
    "max_tokens": "how many tokens to write at most; an end token ends it sooner",
    "temperature": "0 takes the likeliest token; 1 draws by the model's probabilities",
    "top_p": "draw from the likeliest tokens that hold this much probability",
    "top_k": "how many of the likeliest tokens to tell",
    "generate top_k": "draw from this many of the likeliest tokens; 0: from all",
    "corpus": "text or .jsonl files, builtin (CPython's reference) or self (the model's own texts)",
    "dataset": "a name that the library datasets can stream, instead of a corpus",
    "held_out": "files to measure on; without any, a part of the corpus is held out",
    "steps": "how many steps of training",
    "tokens_per_step": "read before each step; the paper: 262144",
    "held_out_tokens": "of held-out text that the lens is measured on, each time",
    "sequence_length": "texts are joined and cut into sequences of so many tokens",
    "ridge": "the weight of the ridge penalty; auto: chosen on the training tokens",
    "optimizer": "sgd, as in the paper, or adam",
    "init": "where to start: zero, the logit lens, or the ridge lens of the same tokens",
    "out_dir": "the lens's folder; by default a new one among the kept lenses",
    "resume": "go on from the checkpoint in out-dir",
    "activation-patching resume": "take the cells that the same request had before it was stopped",
    "min_p": "draw from tokens at least this likely, beside the likeliest",
}


def add_options(parser: Parser, request: type[Request]) -> None:
    """One option for each field; values that were not given keep the request's default."""
    hints = get_type_hints(request)
    for field in msgspec.structs.fields(request):
        parser.add_argument(
            option_of(field.name),
            dest=field.name,
            required=field.required,
            help=_help(request, field),
            **_reading(_without_none(hints[field.name])),
        )


def option_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def _reading(kind: Any) -> dict[str, Any]:
    """How argparse is to read values of a field's type."""
    if kind == Layers:
        return {"type": layers, "metavar": "N,N|all"}
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return {"nargs": "+", "action": "extend", **_reading(item)}
    if word := _word_beside_a_number(kind):
        return {"type": number_or(word), "metavar": f"X|{word}"}
    if get_origin(kind) is Literal:
        return {"type": one_of(*get_args(kind)), "metavar": "|".join(get_args(kind))}
    return {"type": _READ_AS[kind], "metavar": {int: "N", float: "X"}.get(kind, "TEXT")}


def _without_none(kind: Any) -> Any:
    if kind == Layers or get_origin(kind) not in (Union, types.UnionType):
        return kind
    inner = [argument for argument in get_args(kind) if argument is not type(None)]
    return inner[0] if len(inner) == 1 else kind


def _word_beside_a_number(kind: Any) -> str:
    """`auto` of `float | Literal["auto"]`; "" for other kinds."""
    words = [get_args(one) for one in get_args(kind) if get_origin(one) is Literal]
    return words[0][0] if float in get_args(kind) and words else ""


def meaning(request: type[Request], name: str) -> str:
    """What a field of this experiment means; "" where nothing is said of it."""
    return MEANINGS.get(f"{request.__struct_config__.tag} {name}", MEANINGS.get(name, ""))


def _help(request: type[Request], field: msgspec.structs.FieldInfo) -> str:
    words = meaning(request, field.name)
    if any(field.default is nothing for nothing in (msgspec.NODEFAULT, None, False)):
        return words
    return f"{words} (default: {field.default})".strip()
