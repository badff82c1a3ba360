"""How well agents balance Gymnasium's CartPole-v1, and what an episode takes.

    python benchmarks/reward_cart_pole.py --seeds 1 2 3

LIF neurons, order 1, one update per episode. The score is the mean number of actions, of at most
500, over 100 new episodes without learning; random actions reach about 22. The last line is JSON.
"""

import argparse
import json
import time

import gymnasium
import numpy as np
from brian2 import Hz, ms, prefs
from machine import described

from brian_eprop import Adam, CosineDecay, EProp, FiringRateRegularizer, RecurrentNetwork
from brian_eprop.network.training import StopTraining
from brian_eprop.reward import Agent, CodedEnvironment

#: So that values are of order 1
REWARD = 0.05
RANGE = np.array([2.4, 2.5, 0.21, 2.5])


def agent(seed, episodes, feedback):
    """An agent that has learned nothing."""
    environment = gymnasium.make("CartPole-v1")
    scaled = gymnasium.wrappers.TransformReward(environment, lambda reward: REWARD * reward)
    world = CodedEnvironment(scaled, low=-RANGE, high=RANGE)
    network = RecurrentNetwork(
        [("lif", 60, {"tau_m": 10 * ms, "t_ref": 2 * ms})],
        world.n_in,
        60,
        world.n_actions + 1,
        tau_out=10 * ms,
        feedback=feedback,
        rule=EProp(engine="traces"),
        optimizer=Adam(CosineDecay(5e-3, 5e-4, episodes)),
        regularizers=[FiringRateRegularizer(50 * Hz, 1.0)],
        seed=seed,
    )
    network.weights["w_out"] *= 0.1
    network.weights["w_rec"] *= 0.5
    return Agent(network, world, discount=0.98, steps_per_action=5, seed=seed)


def measure(seed, episodes, feedback, goal):
    """One agent's life."""
    one = agent(seed, episodes, feedback)
    start, lengths = time.perf_counter(), []

    def note(entry):
        lengths.append(entry["actions"])
        if len(lengths) % 50 == 0:
            print(f"  {len(lengths)} episodes: {np.mean(lengths[-50:]):.0f}", flush=True)
        if len(lengths) >= 50 and np.mean(lengths[-50:]) >= goal:
            raise StopTraining

    one.learn(episodes, [note])
    seconds = time.perf_counter() - start
    return {
        "seed": seed,
        "feedback": feedback,
        "episodes": len(lengths),
        "drawn": round(one.evaluate(100).mean() / REWARD, 1),
        "greedy": round(one.evaluate(100, greedy=True).mean() / REWARD, 1),
        "seconds_per_episode": round(seconds / len(lengths), 2),
        "ms_per_action": round(1e3 * seconds / sum(lengths), 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--feedback", choices=["symmetric", "random"], default="symmetric")
    parser.add_argument("--goal", type=float, default=400, help="mean length that ends learning")
    arguments = parser.parse_args()
    prefs.codegen.target = "numpy"
    rows = []
    for seed in arguments.seeds:
        rows.append(measure(seed, arguments.episodes, arguments.feedback, arguments.goal))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    print(json.dumps({"machine": described("brian_eprop", "brian2", "gymnasium"), "rows": rows}))


if __name__ == "__main__":
    main()
