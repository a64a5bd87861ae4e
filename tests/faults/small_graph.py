"""Loaded once by the server of commands: the graph of the small model, which every command would build again."""

from oracle import SETTING

from functions.network.description import network_description
from functions.registration.prediction_graph import graph_without_weights

graph_without_weights(network_description(SETTING['NetworkDesign']), SETTING['normalization'])
