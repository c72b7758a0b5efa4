#!/usr/bin/env python3
# %% [markdown]
# # From a log to three plots
#
# Cells in the percent format, which Jupyter (jupytext), VS Code, Spyder and PyCharm open as a notebook; as a script:
#
#     python3 tools/hypha_notebook.py data/incident-room plots
#
# It needs the packages lmdb, pandas and matplotlib (tools/setup-python installs them). Nodes may run meanwhile.

# %%
import pathlib
import sys

import matplotlib.pyplot as pyplot
from hypha_log import frame, past

is_notebook = "ipykernel" in sys.modules
data = pathlib.Path(sys.argv[1] if not is_notebook and len(sys.argv) > 1 else "data/incident-room")
plots = pathlib.Path(sys.argv[2] if not is_notebook and len(sys.argv) > 2 else "plots")
plots.mkdir(parents=True, exist_ok=True)


def show(figure, name: str) -> None:
    """Writes a plot beside the others, and shows it where it is drawn in a notebook."""
    path = plots / f"{name}.png"
    figure.savefig(path, dpi=120, bbox_inches="tight")
    if is_notebook:
        pyplot.show()
    pyplot.close(figure)
    print(path)


# %% [markdown]
# Every entry of every log, as a pandas table; each event once is what remains without the copies.

# %%
entries = frame(data, copies=True)
events = entries.drop_duplicates("id")
events.head()

# %% [markdown]
# ## When was there how much?

# %%
figure, axes = pyplot.subplots(figsize=(9, 3.5))
seconds = (events["time"] - events["time"].min()).dt.total_seconds()
step = max(seconds.max() / 100, 1e-6)
for channel, part in events.groupby("channel"):
    rate = (seconds[part.index] // step).value_counts().sort_index() / step
    axes.step(rate.index * step, rate.values, where="post", label=channel)
axes.set(xlabel="seconds since the first event", ylabel="events a second", title="Rate by channel")
axes.legend(frameon=False)
show(figure, "rates")

# %% [markdown]
# ## How long until another node had it?

# %%
figure, axes = pyplot.subplots(figsize=(9, 3.5))
received = entries[(entries["source"] == "received") & ~past(entries)]
for channel, part in received.groupby("channel"):
    delays = ((part["appendedAt"] - part["time"]).dt.total_seconds() * 1000).clip(lower=1e-3).sort_values()
    axes.plot(delays.values, [(index + 1) / len(delays) for index in range(len(delays))], label=channel)
axes.set(xscale="log", xlabel="milliseconds until another node's log had it", ylabel="share", title="Latency")
if len(received):
    axes.legend(frameon=False)
show(figure, "latencies")

# %% [markdown]
# ## Who talks to whom?

# %%
pairs = events[events["addressee"].notna()].groupby(["agent", "addressee"]).size().unstack(fill_value=0)
names = sorted(set(pairs.index) | set(pairs.columns))
figure, axes = pyplot.subplots(figsize=(7, 6))
if names:
    matrix = pairs.reindex(index=names, columns=names, fill_value=0)
    image = axes.imshow(matrix.values, cmap="viridis")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    figure.colorbar(image, label="events")
axes.set(xlabel="to", ylabel="from", title="Who talks to whom")
show(figure, "pairs")
