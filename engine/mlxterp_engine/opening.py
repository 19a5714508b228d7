"""Open a model: find it, fetch it, load it, find its parts, prove them. With progress."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from mlxterp_engine import backend
from mlxterp_engine.backend import Place
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import Device, DTypeChoice
from mlxterp_engine.experiments.result import Contract, ModelCard, Step
from mlxterp_engine.models.anatomy import Anatomy, discover
from mlxterp_engine.models.fetch import fetch
from mlxterp_engine.models.gguf_file import read_gguf
from mlxterp_engine.models.load import Network, load_folder_network, load_gguf_network
from mlxterp_engine.models.resolve import Located
from mlxterp_engine.models.tokenizer_folder import tokens_of_folder
from mlxterp_engine.models.tokens import Tokens
from mlxterp_engine.models.weights_hash import weights_sha256
from mlxterp_engine.tracing.addresses import Addresses
from mlxterp_engine.tracing.proofs import Pace, measure_pace, proven
from mlxterp_engine.tracing.sites import BLOCK_KINDS, Site, SiteTable

import mlx.core as mx

PROBE_TOKENS = 8
PACE_TOKENS = 32


@dataclass(frozen=True, eq=False)
class Parts:
    """What opening a model yields."""

    net: Any
    tokens: Tokens
    anatomy: Anatomy
    sites: SiteTable
    addresses: Addresses
    card: ModelCard
    pace: Pace
    place: Place


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network with its tokenizer, and where it is from."""

    reference: str
    provenance: str
    sha256: str
    network: Network
    tokens: Tokens
    quantisation: str


def opening(
    reference: str, device: Device = "auto", dtype: DTypeChoice = "auto"
) -> Generator[Step, None, Parts]:
    """Yields progress, returns the parts. BadInput where the model can't be had or opened."""
    place = backend.choose(device, dtype)
    backend.settle(place)
    located = yield from fetch(reference)
    sha256 = _checked_hash(located)
    loaded = yield from _loading(located, sha256, place)
    return (yield from finding_parts(loaded, place))


def finding_parts(loaded: Loaded, place: Place) -> Generator[Step, None, Parts]:
    """Of a model that is in memory: its parts, each proved. Yields progress."""
    yield Step(0, 2, "finding its parts")
    net, tokens = loaded.network.net, loaded.tokens
    ids = probe_ids(tokens, PACE_TOKENS)
    anatomy = discover(net, ids[:, :PROBE_TOKENS])
    aliases = _module_aliases(net, anatomy)
    yield Step(1, 2, "proving its numbers")
    proof = proven(net, loaded.reference, anatomy, aliases, ids[:, :PROBE_TOKENS])
    anatomy, sites = proof.anatomy, proof.sites
    pace = measure_pace(net, anatomy, ids)
    card = _card(loaded, anatomy, sites, place, proof.contracts)
    addresses = Addresses(net, sites, aliases)
    return Parts(net, tokens, anatomy, sites, addresses, card, pace, place)


def open_parts(reference: str, device: Device = "auto", dtype: DTypeChoice = "auto") -> Parts:
    """`opening` without looking at its progress."""
    return finished(opening(reference, device, dtype))


def finished(steps: Generator[Step, None, Parts]) -> Parts:
    """What such a generator returns in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def probe_ids(tokens: Tokens, count: int) -> mx.array:
    """Varied ordinary token ids [1, count], the same for a model each time."""
    spread = tokens.vocab_size - 1
    return mx.array([[1 + (i * i * 7919 + i * 104729) % spread for i in range(count)]])


def _checked_hash(located: Located) -> str:
    """The hash over the weights; refused where a catalogue model's is not the pinned one."""
    assert located.path is not None  # fetched
    found = weights_sha256(located.path)
    if located.sha256 is not None and found != located.sha256:
        raise BadInput(
            f"{located.path} was changed since it was fetched (its SHA-256 begins {found[:8]}, "
            f"it should begin {located.sha256[:8]}); delete it and open the model again"
        )
    return found


def _loading(located: Located, sha256: str, place: Place) -> Generator[Step, None, Loaded]:
    assert located.path is not None  # fetched
    path = located.path
    yield Step(0, 1, "reading weights")
    if located.kind == "gguf":
        file = read_gguf(path)
        network = yield from load_gguf_network(file, place)
        tokens, quantisation = Tokens.of(file.vocabulary), file.quantisation
    else:
        network = load_folder_network(path, place)
        tokens, quantisation = tokens_of_folder(path), _quantisation(network.config)
    return Loaded(located.reference, located.provenance, sha256, network, tokens, quantisation)


def _quantisation(config: dict[str, Any]) -> str:
    quantisation = config.get("quantization") or config.get("quantization_config") or {}
    bits = quantisation.get("bits")
    return f"{bits}-bit" if bits else "none"


def _module_aliases(net: Any, anatomy: Anatomy) -> dict[str, Site]:
    """MLX's own module paths for what has a site: `model.layers.7.self_attn` is attn_out.

    Only where the module's output is the site: not where a post-norm or a multiplier follows.
    `attention_weights` behind an attention's path is mlxterp's name for its pattern.
    """
    paths = {id(module): path for path, module in net.named_modules()}
    places = [(anatomy.embed, Site("embed")), (anatomy.final_norm, Site("final_norm"))]
    for index, block in enumerate(anatomy.blocks):
        places.append((block.module, Site("resid_post", index)))
        for kind, terms in (("attn_out", block.attn_out), ("mlp_out", block.mlp_out)):
            if len(terms) == 1 and terms[0].coefficient == 1:
                places.append((terms[0].module, Site(kind, index)))
    aliases = {paths[id(module)]: site for module, site in places if id(module) in paths}
    weights = {
        f"{paths[id(block.attention.module)]}.attention_weights": Site("attn.pattern", index)
        for index, block in enumerate(anatomy.blocks)
        if block.attention is not None and id(block.attention.module) in paths
    }
    return aliases | weights | {"__model_output__": Site("logits")}


def _card(
    loaded: Loaded,
    anatomy: Anatomy,
    sites: SiteTable,
    place: Place,
    contracts: dict[str, Contract],
) -> ModelCard:
    network, config = loaded.network, loaded.network.config
    text_config = config.get("text_config", config)
    return ModelCard(
        reference=loaded.reference,
        architecture=str(config.get("model_type", "unknown")),
        provenance=loaded.provenance,
        sha256=loaded.sha256,
        layers=len(anatomy.blocks),
        heads=anatomy.heads,
        kv_heads=anatomy.kv_heads,
        d_model=anatomy.d_model,
        d_head=anatomy.d_head,
        d_mlp=anatomy.d_mlp,
        vocab_size=anatomy.vocab_size,
        context=int(text_config.get("max_position_embeddings") or 0),
        parameters=network.parameters,
        weight_bytes=network.bytes,
        quantisation=loaded.quantisation,
        tied=anatomy.tied,
        adds_bos=loaded.tokens.adds_bos,
        has_chat_template=loaded.tokens.has_chat_template,
        device=place.label,
        dtype=network.dtype,
        sites=_site_kinds(sites),
        missing_sites=sites.missing,
        contracts=contracts,
    )


def _site_kinds(sites: SiteTable) -> list[str]:
    return [f"blocks.N.{kind}" if kind in BLOCK_KINDS else kind for kind in sites.kinds()]


def timed_opening(
    reference: str, device: Device, dtype: DTypeChoice
) -> Generator[Step, None, tuple[Parts, float]]:
    """The parts, and the seconds that it took, imports included."""
    start = time.perf_counter()
    parts = yield from opening(reference, device, dtype)
    return parts, time.perf_counter() - start + backend.IMPORT_SECONDS
