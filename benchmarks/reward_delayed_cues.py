"""How often agents choose the side of most cues after a delay, and what an episode takes.

    python benchmarks/reward_delayed_cues.py --seeds 1 2 3

30 LIF and 30 ALIF neurons, order 1; 3 cues, and 200 ms from the last one to the decision. The only
reward comes with it: 1 for the side that had more cues. Batches of episodes run in a compiled
program (open_loop_gradients). The score is that of the most probable action in about 1000 new
episodes; guesses reach 50 %. The last line is JSON. With --figure the rewards while learning are
drawn, mean and range over seeds, and the scores after it.
"""

import argparse
import json
import time

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, ms, set_device
from machine import described

from brian_eprop import Adam, CosineDecay, FiringRateRegularizer, RecurrentNetwork
from brian_eprop.plotting.style import BLUE, prepare
from brian_eprop.reward import DelayedCues, open_loop_gradients
from brian_eprop.tasks.evidence_accumulation import EvidenceAccumulation

TASK = EvidenceAccumulation(
    n_cues=3, cue=40 * ms, gap=20 * ms, delay=150 * ms, recall=50 * ms, cue_rate=100 * Hz
)


def network(seed, updates, learning_rate, feedback):
    """A network that has learned nothing."""
    tau_m, tau_a = 20, 500
    # as the authors of the task scale it
    beta = 1.7 * (1 - np.exp(-1 / tau_a)) / (1 - np.exp(-1 / tau_m))
    lif = {"tau_m": tau_m * ms, "v_th": 0.6, "t_ref": 5 * ms}
    alif = lif | {"tau_a": tau_a * ms, "beta": float(beta)}
    return RecurrentNetwork(
        [("lif", 30, lif), ("alif", 30, alif)],
        TASK.n_in,
        60,
        3,
        tau_out=20 * ms,
        normalize=True,
        feedback=feedback,
        optimizer=Adam(CosineDecay(learning_rate, learning_rate / 10, updates)),
        regularizers=[FiringRateRegularizer(40 * Hz, 0.5)],
        seed=seed,
    )


def right_decisions(net, world, rng, batch):
    """Fraction of about 1000 new episodes in which the most probable action is the right one."""
    found = []
    # in batches of one size, for which there is a program already
    for _ in range(-(-1000 // batch)):
        inputs, rewards_of = world.episodes(rng, batch)
        choices = net.simulate(inputs).readout[..., :2].argmax(axis=-1)
        found.append(rewards_of(choices)[:, -1] == 1)
    return float(np.mean(found))


def measure(seed, arguments):
    """One network's life: what is to be reported, and the mean reward of each update's episodes."""
    world, rng = DelayedCues(TASK), np.random.default_rng(seed)
    net = network(seed, arguments.updates, arguments.learning_rate, arguments.feedback)
    start, rewards = time.perf_counter(), []
    for update in range(1, arguments.updates + 1):
        inputs, rewards_of = world.episodes(rng, arguments.batch)
        found = open_loop_gradients(
            net,
            inputs,
            world.decides,
            rewards_of,
            rng,
            discount=arguments.discount,
            value_weight=arguments.value_weight,
        )
        net.apply(found.gradients)
        rewards.append(found.rewards.sum(axis=1).mean())
        if update == 1:
            first = time.perf_counter()  # compiled
        if update % 40 == 0:
            print(f"  {update} updates: {np.mean(rewards[-20:]):.3f}", flush=True)
    seconds = time.perf_counter() - first
    row = {
        "seed": seed,
        "feedback": arguments.feedback,
        "episodes": arguments.updates * arguments.batch,
        "right": round(right_decisions(net, world, rng, arguments.batch), 3),
        "drawn": round(float(np.mean(rewards[-20:])), 3),
        "rate_hz": round(float(found.gradients.spikes.mean() * 1000), 1),
        "ms_per_episode": round(1e3 * seconds / (arguments.updates - 1) / arguments.batch, 2),
        "start_s": round(first - start, 1),
    }
    return row, rewards


def drawing(rows, curves, batch, averaged=20):
    """Rewards over episodes, means over so many updates; and the scores of the seeds."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8, 3), layout="constrained", sharey=True, width_ratios=[3, 1]
    )
    means = np.array([np.convolve(c, np.ones(averaged) / averaged, "valid") for c in curves])
    x = batch * np.arange(averaged, averaged + means.shape[1])
    left.plot(x, means.mean(axis=0), color=BLUE)
    left.fill_between(x, means.min(axis=0), means.max(axis=0), color=BLUE, alpha=0.2, linewidth=0)
    scores = [row["right"] for row in rows]
    right.plot(np.zeros(len(scores)), scores, "o", color=BLUE, alpha=0.6)
    right.plot(0, np.mean(scores), "_", color=BLUE, markersize=24, markeredgewidth=2)
    for ax in (left, right):
        prepare(ax)
        ax.axhline(0.5, color="0.5", linewidth=0.9, linestyle="--", label="guesses", zorder=0)
    left.set(xlabel="Episode", ylabel="Right choices", xlim=(0, None), ylim=(0.4, 1))
    left.legend(frameon=False, loc="lower right")
    right.set(xlim=(-1, 1), xticks=[], title="New episodes")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--updates", type=int, default=700)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--discount", type=float, default=0.995, help="per step")
    parser.add_argument("--value-weight", type=float, default=1e-3)
    parser.add_argument("--feedback", choices=["symmetric", "random"], default="symmetric")
    parser.add_argument("--figure", help="a file to draw into")
    arguments = parser.parse_args()
    set_device("cpp_standalone", build_on_run=False)
    rows, curves = [], []
    for seed in arguments.seeds:
        row, rewards = measure(seed, arguments)
        rows.append(row)
        curves.append(rewards)
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if arguments.figure:
        drawing(rows, curves, arguments.batch).savefig(arguments.figure, dpi=150)
    print(json.dumps({"machine": described("brian_eprop", "brian2"), "rows": rows}))


if __name__ == "__main__":
    main()
