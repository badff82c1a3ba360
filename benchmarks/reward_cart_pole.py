"""How well agents balance Gymnasium's CartPole-v1, and what an episode takes.

    python benchmarks/reward_cart_pole.py --seeds 1 2 3 4 5

LIF neurons, order 1, one update per episode. Every 25 episodes, where their mean length is above
200, the agent plays 20 others without learning, with the action that it holds best; the weights
that did best are kept, and learning ends when that mean is 498. The score is the mean number of
actions, of at most 500, over 100 new episodes; random actions reach about 22. The last line is
JSON.
"""

import argparse
import json
import time

import gymnasium
import numpy as np
from brian2 import Hz, ms, prefs
from machine import described

from brian_eprop import Adam, CosineDecay, EProp, FiringRateRegularizer, RecurrentNetwork
from brian_eprop.reward import Agent, CodedEnvironment

#: So that values are of order 1
REWARD = 0.05
RANGE = np.array([2.4, 2.5, 0.21, 2.5])
#: Episodes between two tests, from what length on, of how many episodes, and what is good enough
EVERY, LONG, TESTS, GOAL = 25, 200, 20, 498


def agent(seed, episodes, feedback, trace_decay):
    """An agent that has learned nothing."""
    environment = gymnasium.make("CartPole-v1")
    scaled = gymnasium.wrappers.TransformReward(environment, lambda reward: REWARD * reward)
    world = CodedEnvironment(scaled, low=-RANGE, high=RANGE, n=15, peak=1.0)
    network = RecurrentNetwork(
        # what was seen actions ago is of little use: short memories
        [("lif", 100, {"tau_m": 2 * ms, "t_ref": 2 * ms})],
        world.n_in,
        100,
        world.n_actions + 1,
        tau_out=2 * ms,
        feedback=feedback,
        rule=EProp(engine="traces"),
        optimizer=Adam(CosineDecay(5e-3, 5e-4, episodes)),
        regularizers=[FiringRateRegularizer(50 * Hz, 1.0)],
        seed=seed,
    )
    network.weights["w_out"] *= 0.1
    network.weights["w_rec"] *= 0.5
    return Agent(network, world, discount=0.99, trace_decay=trace_decay, seed=seed)


def learned(one, episodes):
    """The history of the episodes to learn from; the agent then has the weights that did best."""
    history, best, kept = [], 0.0, {}
    while len(history) < episodes and best < GOAL:
        latest = one.learn(min(EVERY, episodes - len(history)))
        history += [entry | {"iteration": n} for n, entry in enumerate(latest, len(history))]
        recent, score = np.mean([entry["actions"] for entry in latest]), np.nan
        if recent > LONG:
            score = one.evaluate(TESTS, greedy=True).mean() / REWARD
            if score >= best:
                best = score
                kept = {name: array.copy() for name, array in one.network.weights.items()}
        print(f"  {len(history)} episodes: {recent:.0f}, tests {score:.0f}", flush=True)
    one.network.weights.update(kept)
    return history


def measure(seed, *options):
    """One agent's life."""
    one = agent(seed, *options)
    start, of_processor = time.perf_counter(), time.process_time()
    history = learned(one, options[0])
    seconds = time.perf_counter() - start
    return {
        "seed": seed,
        "episodes": len(history),
        "actions": sum(entry["actions"] for entry in history),
        "greedy": round(one.evaluate(100, greedy=True).mean() / REWARD, 1),
        "drawn": round(one.evaluate(100).mean() / REWARD, 1),
        "seconds": round(seconds),
        "seconds_of_processor": round(time.process_time() - of_processor),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--episodes", type=int, default=300, help="at most")
    parser.add_argument("--feedback", choices=["symmetric", "random"], default="symmetric")
    parser.add_argument("--trace-decay", type=float, default=0.9, help="λ per action")
    parser.add_argument("--target", choices=["numpy", "cython"], default="numpy")
    arguments = parser.parse_args()
    prefs.codegen.target = arguments.target
    options = arguments.episodes, arguments.feedback, arguments.trace_decay
    rows = []
    for seed in arguments.seeds:
        rows.append(measure(seed, *options))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    print(json.dumps({"machine": described("brian_eprop", "brian2", "gymnasium"), "rows": rows}))


if __name__ == "__main__":
    main()
