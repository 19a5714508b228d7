"""The tuned lens: unembed(final_norm(h + A_l·h + b_l)) for the state behind every block.

Belrose et al. 2023, arXiv 2303.08112, equation 8, in the residual form of the published package
(see `lenses.translators`). Any lens of one affine map a layer is read out here, the ridge lens
too. A lens of zeros is the logit lens, bit for bit; the last row has no translator.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from mlxterp_engine.experiments import BadInput, LogitLensRow, Price, Step, TunedLens
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.lenses.opening import FittedLens, open_lens
from mlxterp_engine.techniques import logit_lens
from mlxterp_engine.techniques.findings import Findings, Prompts


def check(model: InterpretableModel, request: TunedLens) -> None:
    """What the logit lens checks, and a lens of this model, for the states it was fitted to."""
    if request.state != "resid_post":
        raise BadInput(
            f"state is {request.state} and a tuned lens translates the states behind the blocks, "
            "which it was fitted to; take state resid_post, or the logit lens"
        )
    logit_lens.check(model, request)
    _lens(model, request)


def price(model: InterpretableModel, request: TunedLens, prompts: Prompts) -> Price:
    """The logit lens's, and the translators: a product of [d_model, d_model] a state."""
    plain = logit_lens.price(model, request, prompts)
    card, pos = model.card, len(prompts[0].ids)
    translated = card.layers * card.d_model**2
    share = translated / card.parameters
    return Price(
        plain.passes + share,
        plain.seconds + share * model.pace.per_token * pos,
        plain.bytes + 2 * 4 * translated,
    )


def run(
    model: InterpretableModel, request: TunedLens, prompts: Prompts
) -> Generator[LogitLensRow | Step, None, Findings]:
    """Rows as of the logit lens; the last is the model's own."""
    lens = _lens(model, request)
    found = yield from logit_lens.read_out(model, request, prompts, lens.translators.translate)
    said = {"name": lens.name, "kind": lens.kind, "sha256": lens.sha256}
    said |= {"unchecked": lens.unchecked} if lens.unchecked else {}
    return replace(
        found,
        headline=f"{lens.name}: {found.headline}",
        strings={**found.strings, "lens": said},
    )


def _lens(model: InterpretableModel, request: TunedLens) -> FittedLens:
    return open_lens(request.lens, model.card, model.net, model.anatomy)
