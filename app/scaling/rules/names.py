"""The names of the scaling rules in requests, commands and answers."""

from __future__ import annotations

from typing import Literal, get_args

SolvedRule = Literal["tiny_formula", "surrogate", "compound", "dwr", "fast", "resolution", "depth", "width"]
"""A rule that turns a target into r and d; the width is then solved."""

Rule = SolvedRule | Literal["manual"]
"""With `manual` the caller gives r and d, and either the width or a target from which the width is solved."""

SOLVED_RULES: tuple[SolvedRule, ...] = get_args(SolvedRule)
RULES: tuple[Rule, ...] = (*SOLVED_RULES, "manual")

SolvedOrAuto = Literal["auto", SolvedRule]
RequestedRule = Literal["auto", SolvedRule, "manual"]
"""`auto` takes the best rule that the predictor supports, else the best that needs no data."""

DEFAULT_RULE: Literal["auto"] = "auto"

PREDICTOR_RULES: frozenset[Rule] = frozenset({"tiny_formula", "surrogate"})
"""The rules whose r and d come from a predictor."""
