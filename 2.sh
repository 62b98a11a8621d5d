pip install -e ".[data]"
python -c "from minigrad.datasets import download_cifar10; download_cifar10()"
python -m models.two_layer_net --dataset cifar10
