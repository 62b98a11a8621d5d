"""Make the pictures of README: ``python -m notebooks.pictures.make``, with CIFAR-10 at hand; half a minute."""

from pathlib import Path

import numpy as np
from PIL import Image

import minigrad as mg
from minigrad.datasets import get_cifar10_data
from minigrad.pictures.drawing import Drawing
from minigrad.sweep import train_model
from minigrad.vis import visualize_grid
from models.two_layer_net import TwoLayerNet, objective

HERE = Path(__file__).parent


def two_layer_net() -> Drawing:
    """Draw the tape of the two-layer net's loss, of 200 images of CIFAR-10's shape."""
    net = TwoLayerNet(hidden_dim=100, reg=0.5, dtype=np.float32)
    leaves = {name: mg.tensor(value, requires_grad=True) for name, value in net.params.items()}
    X, y = np.zeros((200, 3, 32, 32), np.float32), np.zeros(200, np.int64)
    return mg.draw_tape(objective(leaves, X, y, net.reg, net.data_loss), **leaves)


def first_layer() -> Image.Image:
    """Train 50 hidden units on CIFAR-10, and lay out what they look for in five rows of ten."""
    data = get_cifar10_data(dtype=np.float32)
    net = TwoLayerNet(hidden_dim=50, weight_scale=1e-4, reg=3.0, dtype=np.float32, seed=0)
    train_model(
        net,
        data,
        seed=0,
        optim_config={"learning_rate": 1e-3},
        lr_decay=0.95,
        batch_size=200,
        num_epochs=10,
    )
    units = net.params["W1"].reshape(3, 32, 32, 50).transpose(3, 1, 2, 0)
    left, right = visualize_grid(units[:25]), visualize_grid(units[25:])
    grid = np.hstack([left, np.zeros((len(left), 1, 3)), right]).astype(np.uint8)
    image = Image.fromarray(grid).quantize()
    return image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)


if __name__ == "__main__":
    two_layer_net().save(HERE / "two_layer_net.svg")
    first_layer().save(HERE / "first_layer.png", optimize=True)
