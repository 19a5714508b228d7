"""Interventions as a notebook gives them: operations by site or by a module's path."""

from __future__ import annotations

from collections.abc import Mapping

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.addresses import Addresses, ModulePath
from mlxterp_engine.tracing.interventions import Edit, Operation, PositionedOperation, edit
from mlxterp_engine.tracing.sites import Site

Interventions = Mapping[str, Operation | PositionedOperation]


def parted(interventions: Interventions, addresses: Addresses) -> tuple[list[Edit], list[Edit]]:
    """Those at sites, and those at modules that are no site."""
    at_sites, at_modules = [], []
    for address, what in interventions.items():
        if not callable(what) and not isinstance(what, PositionedOperation):
            raise BadInput(
                f"the intervention at {address} is {what!r}; give an operation, for example "
                "interventions.zero_out or interventions.scale(0.5)"
            )
        place = addresses.parse(address)
        if isinstance(place, ModulePath):
            at_modules.append(edit(Site(place.path), what))
        else:
            at_sites.append(edit(place, what))
    return at_sites, at_modules
