"""A program with mistakes that mypy finds before anything runs."""

import numpy as np

from brian_eprop import Adam, EProp, LeakyReadout, RecurrentNetwork, load_model
from brian_eprop.network.connectivity import layers
from brian_eprop.plotting import plot_weights
from brian_eprop.reward import Agent
from brian_eprop.runs import Configuration, train

EProp(engine="trace")  # wrong
EProp(order="2")  # wrong
EProp(reset_path={"v": "implcit"})  # wrong
Adam(1e-3, beta=0.9)  # wrong
network = RecurrentNetwork("lif", 4, 10, 2, optimizer=Adam(1e-3))
RecurrentNetwork("lif", 4, 10, 2, loss="mae")  # wrong
RecurrentNetwork("lif", 4, 10, 2, Adam(1e-3))  # wrong
RecurrentNetwork("lif", 4, 10, 2, delays={"w_recurrent": 2})  # wrong
RecurrentNetwork("lif", 4, 10, n_outputs=2)  # wrong
network.gradients(np.ones((5, 4)))  # wrong
print(network.gradients(np.ones((5, 4)), np.ones((5, 2))).w_recurrent)  # wrong
network.fit("store_recall", 10)  # wrong
network.evaluate(object(), np.ones((1, 5, 4)), np.ones((1, 5, 2)))  # wrong
Agent(network, object(), discount=0.9)  # wrong
LeakyReadout(1, 20, loss="hinge")  # wrong
load_model(3)  # wrong
layers(10, 4, 2)  # wrong
plot_weights(np.eye(3)).savefig("weights.png")  # wrong
train("store_recall", "folder")  # wrong
train(Configuration.of_task("store_recall"), "folder", figures="jpg")  # wrong
