pip install -e ".[sweep]"
python -m models.two_layer_net sweep --dataset cifar10 --workers 2 --out runs/grid
