"""Draws what the benchmarks measured: plots.py RESULTS TO

RESULTS is a folder with login-S.json (M, L), storm.json and term.json, as
`make bench`, `make bench-storm` and `make bench-term` write them; what is
missing is not drawn. TO is the folder for the SVG files.
"""

import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "satchel"  # the same bytes each time
matplotlib.rcParams["font.size"] = 9
import matplotlib.pyplot as plt  # noqa: E402

SIZES = {"S": 1.6, "M": 66, "L": 1100}  # MB
SITUATIONS = {"first": "first login", "nothing": "nothing new", "u1": "one cell changed (u1)"}


def save(figure, to, name):
    figure.tight_layout()
    figure.savefig(to / name, metadata={"Date": None})
    plt.close(figure)
    print(to / name)


def label(name):
    return name.replace("*", "").replace("`", "").replace("\\|", "|")


def color(name, names):
    return "black" if name.startswith("limit") else f"C{sorted(names).index(name) % 10}"


def login(all_figures, to):
    """Time of one login by the course's size."""
    figure, axes = plt.subplots(1, len(SITUATIONS), figsize=(11, 3.6), sharey=True)
    names = sorted({n for f in all_figures for n in f["timed"]})
    for ax, (situation, title) in zip(axes, SITUATIONS.items()):
        for name in names:
            points = []
            for f in all_figures:
                measured = f["timed"].get(name, {}).get(situation)
                if measured:
                    points.append((SIZES[f["course"]], 1e3 * statistics.median(m["seconds"] for m in measured)))
            if points:
                style = dict(color=color(name, names), label=label(name))
                style |= dict(linewidth=2.5) if "Satchel" in name else dict(linewidth=1)
                style |= dict(linestyle="--") if name.startswith("limit") else {}
                ax.plot(*zip(*sorted(points)), marker="o", markersize=3, **style)
        ax.set(xscale="log", yscale="log", title=title, xlabel="course, MB")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("one login, ms (median)")
    lines = {line.get_label(): line for ax in axes for line in ax.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="lower center", ncols=4, fontsize=8, frameon=False, bbox_to_anchor=(0.5, -0.02))
    figure.subplots_adjust(bottom=0.3)
    figure.savefig(to / "login.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    print(to / "login.svg")


def storm(found, to):
    """Latency of a storm by the number of students."""
    situations = list(dict.fromkeys(s["situation"] for s in found["storms"]))
    figure, axes = plt.subplots(1, len(situations), figsize=(3.6 * len(situations), 3.4), squeeze=False)
    names = sorted({n for s in found["storms"] for n in s["gusts"]})
    for ax, situation in zip(axes[0], situations):
        for name in names:
            points = []
            for s in found["storms"]:
                gusts = s["gusts"].get(name)
                if s["situation"] == situation and gusts:
                    points.append((s["students"], statistics.median(g["p99"] for g in gusts)))
            if points:
                style = {"linestyle": "--" if "curl" in name else ":"} if name.startswith("limit") else {}
                ax.plot(*zip(*sorted(points)), marker="o", markersize=4, color=color(name, names), label=label(name), **style)
        ax.set(title=situation, xlabel="students at once", ylim=(0, None))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=7, frameon=False)
    axes[0][0].set_ylabel("p99 of a login, s (median)")
    save(figure, to, "storm.svg")


def term(found, to):
    """Bytes over the weeks of a term."""
    weeks = found["weeks"]
    x = [w["week"] for w in weeks]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    left.plot(x, [w["material"] / 1e6 for w in weeks], color="black", linestyle="--", label="the courses' material")
    left.plot(x, [w["named"] / 1e6 for w in weeks], color="C0", label="named by records")
    left.plot(x, [w["store"] / 1e6 for w in weeks], color="C1", label="in the store")
    left.set(title="stored", xlabel="week", ylabel="MB", ylim=(0, None))
    right.plot(x, [w["sent"] / 1e9 for w in weeks], color="C0")
    right.set(title="sent to students", xlabel="week", ylabel="GB in the week", ylim=(0, None))
    for ax in (left, right):
        ax.grid(alpha=0.3)
    left.legend(fontsize=8, frameon=False)
    save(figure, to, "term.svg")


def main():
    results, to = map(pathlib.Path, sys.argv[1:])
    to.mkdir(parents=True, exist_ok=True)
    courses = [json.loads(file.read_text()) for file in sorted(results.glob("login-*.json"))]
    if courses:
        login(courses, to)
    for draw in (storm, term):
        file = results / f"{draw.__name__}.json"
        if file.exists():
            draw(json.loads(file.read_text()), to)


if __name__ == "__main__":
    main()
