pip install -e . && python -m models.two_layer_net
