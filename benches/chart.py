"""The bar chart of the README: python benches/chart.py RECORD.json CHART.svg.

The record is one that ``qvl-fast bench images`` has written.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt

INK, BAR, PAPER = "#1f2328", "#3b76b0", "#ffffff"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("chart", type=Path)
    options = parser.parse_args()
    results = json.loads(options.record.read_text())["results"]
    names = [
        f"{result['case']}, {result['tokens']} tokens, {result['threads']} "
        f"{'thread' if result['threads'] == 1 else 'threads'}"
        for result in results
    ]
    ratios = [result["times faster"]["theirs"] for result in results]

    # The same file for the same record; text that stays text.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "qvl_fast", "font.size": 10})
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(names) + 0.7), facecolor=PAPER)
    bars = axes.barh(names, ratios, color=BAR, height=0.62)
    axes.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], padding=4, color=INK)
    axes.axvline(1, color=INK, linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("times faster than transformers")
    axes.margins(x=0.08)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.tight_layout()
    figure.savefig(options.chart, metadata={"Date": None})


if __name__ == "__main__":
    main()
