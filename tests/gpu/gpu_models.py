"""Models that fill more than half of a GPU: two do not fit."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

import gc_warm
from gc_warm import self_contained, warm
from gc_warm.functions import onnx as onnx_functions

SHARE = 0.6  # of the GPU's memory
PEAK = 0.5  # what loading takes for a while
KEPT = 0.05  # what stays of it

gc_warm.group("one gpu", maxsize=1)


def fill(share, value=1):
    """Return so large a tensor, as model weights are."""
    import torch

    _, total = torch.cuda.mem_get_info()
    return torch.full((int(total * share),), value, dtype=torch.uint8, device="cuda")


def used():
    """Return what part of the GPU's memory is in use, by whom ever."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return 1 - free / total


def give_back():
    import torch

    torch.cuda.empty_cache()


@warm
def model(name):
    weights = fill(SHARE, ord(name))
    yield weights
    del weights
    give_back()


@functools.lru_cache(maxsize=1)
def kept_by_lru_cache(name):
    return fill(SHARE, ord(name))


@warm(group="one gpu")
def translator(language):
    weights = fill(SHARE, ord(language))
    yield weights
    del weights
    give_back()


@warm(group="one gpu")
def speech():
    weights = fill(SHARE, 7)
    yield weights
    del weights
    give_back()


@warm(maxsize=None, maxbytes=100 << 20, size=lambda weights: weights.nbytes)
def adapter(number):
    import torch

    weights = torch.full((40 << 20,), number, dtype=torch.uint8, device="cuda")
    yield weights
    del weights
    give_back()


@warm(builds_per_node=1)
def loaded_in_turn():
    staged = fill(PEAK)
    time.sleep(0.5)  # long enough for two to meet, if they were let
    weights = fill(KEPT)
    del staged
    give_back()
    return weights


@self_contained
def use(name):
    return chr(int(model(name)[0])), model.info().misses, os.getpid(), used()


@warm
def net(names):
    import torch

    made = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    return made.to("cuda").eval()


@self_contained
def run_net(names, points, values):
    import torch

    network = net(tuple(names))
    network.load_state_dict({n: torch.from_numpy(v) for n, v in zip(names, values, strict=True)})
    with torch.no_grad():
        answer = network(torch.from_numpy(points).to("cuda")).cpu().numpy()
    return answer, net.info().misses


@self_contained
def use_lru_cache(name):
    return chr(int(kept_by_lru_cache(name)[0]))


@self_contained
def talk(languages):
    """Use two models of a group in one worker, call by call."""
    return [
        int(speech()[0]) if each is None else chr(int(translator(each)[0])) for each in languages
    ]


@self_contained
def say(language):
    return int(speech()[0]) if language is None else chr(int(translator(language)[0]))


@self_contained
def adapt_one(number):
    value = int(adapter(number)[0])
    info = adapter.info()
    return value, info.misses, sum(entry.size for entry in info.entries)


@self_contained
def load_in_turn():
    loaded_in_turn()
    return os.getpid()


@self_contained
def sees_gpu():
    import torch

    return torch.cuda.is_available()


@self_contained
def providers():
    import onnxruntime

    return onnxruntime.get_available_providers()


@self_contained
def predict_twice(path, features):
    """Say who computes, and how often a session was made."""
    answers = [onnx_functions.predict(path, {"features": features}) for _ in range(2)]
    status = Path(path).stat()
    key = path, status.st_size, status.st_mtime_ns, None, None
    made = onnx_functions.session(*key)  # a hit, or there would be two
    return answers, made.get_providers(), onnx_functions.session.info().misses
