"""Update rules: one step of a parameter along its gradient.

A rule is declared once, as a function of arrays that returns the step and the new state, and has two forms. In the
course's, that of Stanford's CS231n, ``rule(w, dw, config=None) -> (w, config)`` updates the parameter in place; the
dict has the rule's settings and its state. As pure functions, ``state = rule.init(params)`` and
``params, state = rule.update(grads, state, params, learning_rate=1e-3)`` take nested parameters and change nothing:
they go into a training step that `minigrad.jit` compiles whole.
"""

from .clipping import clip_global_norm
from .rule import UpdateRule, find_rule, update_rule, update_rules
from .rules import adagrad, adam, adamw, nesterov_momentum, rmsprop, sgd, sgd_momentum

__all__ = [
    "UpdateRule",
    "adagrad",
    "adam",
    "adamw",
    "clip_global_norm",
    "find_rule",
    "nesterov_momentum",
    "rmsprop",
    "sgd",
    "sgd_momentum",
    "update_rule",
    "update_rules",
]
