"""The nets that a command line makes by name, each declared once, and a training of one by a setting of numbers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from minigrad import optim
from minigrad.sweep import train_model

from .console import meant
from .conv_net import ConvNet, ThreeLayerConvNet
from .fully_connected_net import FullyConnectedNet
from .recipes import RECIPES, Recipe
from .two_layer_net import CompiledTwoLayerNet

Shape = tuple[int, ...]


def two_layer(
    shape: Shape, hidden_dim: int = 100, weight_scale: float = 1e-3, reg: float = 0.0, **options: Any
) -> CompiledTwoLayerNet:
    """Make a net of one hidden layer."""
    return CompiledTwoLayerNet(math.prod(shape), hidden_dim, weight_scale=weight_scale, reg=reg, **options)


def fully_connected(
    shape: Shape,
    hidden_dim: int = 100,
    num_hidden: int = 2,
    normalization: str | None = None,
    dropout_keep_ratio: float = 1.0,
    label_smoothing: float = 0.0,
    weight_scale: float | None = None,
    reg: float = 0.0,
    **options: Any,
) -> FullyConnectedNet:
    """Make a net of ``num_hidden`` hidden layers of ``hidden_dim`` units each."""
    return FullyConnectedNet(
        [hidden_dim] * num_hidden,
        math.prod(shape),
        normalization=normalization,
        dropout_keep_ratio=dropout_keep_ratio,
        label_smoothing=label_smoothing,
        weight_scale=weight_scale,
        reg=reg,
        **options,
    )


def three_layer_conv(
    shape: Shape,
    num_filters: int = 32,
    filter_size: int = 7,
    hidden_dim: int = 100,
    weight_scale: float | None = None,
    reg: float = 0.0,
    **options: Any,
) -> ThreeLayerConvNet:
    """Make the course's convolutional net."""
    channels, height, width = shape
    return ThreeLayerConvNet(
        (channels, height, width),
        num_filters,
        filter_size,
        hidden_dim,
        weight_scale=weight_scale,
        reg=reg,
        **options,
    )


def conv(
    shape: Shape,
    num_filters: int = 32,
    num_stages: int = 2,
    dropout_keep_ratio: float = 1.0,
    label_smoothing: float = 0.0,
    reg: float = 0.0,
    **options: Any,
) -> ConvNet:
    """Make a convolutional net with batch normalization; each stage has twice the filters of the one before."""
    channels, height, width = shape
    return ConvNet(
        (channels, height, width),
        [num_filters * 2**i for i in range(num_stages)],
        dropout_keep_ratio=dropout_keep_ratio,
        label_smoothing=label_smoothing,
        reg=reg,
        **options,
    )


MODELS: dict[str, Callable[..., Any]] = {
    "two-layer": two_layer,
    "fully-connected": fully_connected,
    "three-layer-conv": three_layer_conv,
    "conv": conv,
}
"""Functions of an example's shape, the net's own settings, and ``dtype`` and ``seed``."""

NEEDED = ("num_epochs", "learning_rate")
TRAINING = (*NEEDED, "lr_decay", "batch_size", "update_rule")
"""The settings of the training itself, beside those of the update rule."""


def settings_of_net(model: str) -> list[str]:
    """Return the names of a net's own settings."""
    return [
        name
        for name, each in inspect.signature(MODELS[model]).parameters.items()
        if each.default is not each.empty
    ]


def settings_of_rule(rule: Any) -> list[str]:
    """Return the names of an update rule's settings."""
    return list(optim.find_rule(rule).settings)  # type: ignore[attr-defined]  # one of the library's has them


def check_names(names: Iterable[str], model: str, rules: Iterable[str]) -> None:
    """Refuse names that no setting of this net and these update rules has, and missing ones that training needs.

    Raises
    ------
    ValueError
        The message has what was meant, if that is near.
    """
    names = list(names)
    of_rules = (name for rule in rules for name in settings_of_rule(rule))
    known = list(dict.fromkeys((*settings_of_net(model), *TRAINING, *of_rules)))
    for name in names:
        if name not in known:
            raise ValueError(
                f"{model} has no setting {name!r}; it has {', '.join(known)}{meant(name, known)}"
            )
    for name in NEEDED:
        if name not in names:
            raise ValueError(f"a setting must have a {name}; there are {', '.join(names)}")


def train(setting: dict[str, Any], data: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one setting; the defaults are the course's: batches of 200, 0.95 times the rate each epoch.

    Its names are ``model`` (``"two-layer"`` by default), those of the model in `MODELS`, those of `TRAINING`, of which
    ``num_epochs`` and ``learning_rate`` are needed, and those of the update rule. Or they are ``recipe`` and those that
    the recipe can be changed in.

    Raises
    ------
    ValueError
        When the setting has other names.
    """
    options = training(setting, len(data["X_train"]))
    net = made(setting, data["X_train"], seed)
    record = train_model(net, data, seed, **options)
    record["params"] |= {name: param[key] for name, param, key in running(net)}
    return record


def training(setting: dict[str, Any], num_train: int) -> dict[str, Any]:
    """Return the options of the Solver of a setting, for a number of training examples."""
    if "recipe" in setting:
        return recipe_of(setting).training(num_train)
    rest = dict(setting)
    model, rule = rest.pop("model", "two-layer"), rest.get("update_rule", "sgd")
    if model not in MODELS:
        raise ValueError(
            f"there is no model {model!r}; expected one of {', '.join(MODELS)}{meant(str(model), MODELS)}"
        )
    check_names(rest, model, [rule])
    return {
        "update_rule": rule,
        "optim_config": {name: rest[name] for name in settings_of_rule(rule) if name in rest},
        "lr_decay": rest.get("lr_decay", 0.95),
        "batch_size": rest.get("batch_size", 200),
        "num_epochs": rest["num_epochs"],
    }


def made(setting: dict[str, Any], X_train: NDArray[Any], seed: int = 0) -> Any:
    """Return a new net of a setting, for the training examples and others like them."""
    if "recipe" in setting:
        return recipe_of(setting).model(X_train, seed)
    model = setting.get("model", "two-layer")
    options = {name: setting[name] for name in settings_of_net(model) if name in setting}
    return MODELS[model](X_train.shape[1:], dtype=X_train.dtype, seed=seed, **options)


def trained(setting: dict[str, Any], X_train: NDArray[Any], params: dict[str, Any]) -> Any:
    """Return the net of a setting with the parameters that `train` recorded."""
    net = made(setting, X_train)
    for name, w in net.params.items():
        w[...] = params[name]
    for name, param, key in running(net):
        param[key] = params[name]
    return net


def recipe_of(setting: dict[str, Any]) -> Recipe:
    """Return the recipe that a setting names, changed as it says."""
    rest = dict(setting)
    name = rest.pop("recipe")
    if name not in RECIPES:
        raise ValueError(
            f"there is no recipe {name!r}; expected one of {', '.join(RECIPES)}{meant(str(name), RECIPES)}"
        )
    return RECIPES[name].changed(rest)


def running(net: Any) -> list[tuple[str, dict[str, Any], str]]:
    """Return a name for each running mean and variance of batch normalization, and the dict and key where it is."""
    net = getattr(net, "net", net)  # of a net on features
    norm_params = getattr(net, "bn_params", None) or getattr(net, "norm_params", [])
    return [
        (f"{key}{i}", param, key)
        for i, param in enumerate(norm_params, 1)
        for key in ("running_mean", "running_var")
        if key in param
    ]
