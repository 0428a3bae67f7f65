"""What is timed on a card: the training loop in every way, bare steps, the recipe, forward passes."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import recipe
import torch
import torch.nn.functional as F  # noqa: N812
from networks import untrained
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ap3.finetuning.heads import Heads, finetune_heads
from ap3.machine.device import processor
from ap3.models.head import find_head, linear
from ap3.models.preprocessing import View
from ap3.training.evaluation import outputs_of
from ap3.training.running import running
from ap3.training.sgd import Recipe, optimise, train

CLASSES, STORED, RATE = 100, 32, 0.01
GIB = 2**30
LONGER = 4
"""As many times the images in the fast ways, so that what an epoch costs once does not weigh there."""


@dataclass(frozen=True)
class Way:
    """How a network is run: its precision, its order of memory, and what else speeds it up."""

    precision: str
    channels_last: bool
    compile: bool = False
    benchmark: bool = False


WAYS = {
    "bfloat16": Way("bfloat16", True),
    "bfloat16, compiled": Way("bfloat16", True, compile=True),
    "bfloat16, cudnn.benchmark": Way("bfloat16", True, benchmark=True),
    "tf32": Way("tf32", True),
    "float32, channels last": Way("float32", True),
    "float32, channels first": Way("float32", False),
}
BARE, PLAIN, FORWARD, VIEWS, LAYERS = (
    "bare step",
    "recipe, float32",
    "forward",
    "views",
    "last layers",
)


@dataclass(frozen=True)
class Size:
    """How much is timed: pixels, images in a batch, images in a round, timed rounds."""

    pixels: int
    batch: int
    examples: int
    rounds: int


@contextmanager
def held(device: str, way: Way) -> Iterator[torch.device]:
    """Run in a way within a `with` block; leaves no memory and no setting behind."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = way.benchmark
    try:
        with processor(device, torch.get_num_threads(), way.precision) as where:
            if where.type == "cuda":
                torch.cuda.reset_peak_memory_stats(where)
            yield where
    finally:
        torch.backends.cudnn.benchmark = before
        torch.compiler.reset()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def timed(run: Callable[[], object], where: torch.device, rounds: int) -> list[float]:
    """Seconds of each round, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        times.append(time.perf_counter() - start)
    return times[1:]


def cell(name: str, model: str, device: str, size: Size, own: Way) -> dict[str, object]:
    """Measure one cell: images a second over the rounds, and the memory that it took.

    `own` is the study's way, in which all is run that is not itself a way.
    """
    way = WAYS.get(name, Way("float32", False) if name == PLAIN else own)
    if way.precision == "bfloat16":
        size = replace(size, examples=LONGER * size.examples)
    make = MAKERS.get(name, _training)
    with held(device, way) as where:
        before = torch.cuda.memory_allocated(where) if where.type == "cuda" else 0
        times = timed(make(model, where, size, way), where, size.rounds)
        peak = torch.cuda.max_memory_allocated(where) - before if where.type == "cuda" else None
    rates = [size.examples / one for one in times]
    return {
        "images_per_second": median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "n": len(rates),
        "peak_gib": None if peak is None else peak / GIB,
    }


def _pictures(size: Size) -> tuple[Tensor, Tensor]:
    images = torch.randint(0, 256, (size.examples, 3, STORED, STORED), dtype=torch.uint8)
    return images, torch.randint(0, CLASSES, (size.examples,))


def _training(model: str, where: torch.device, size: Size, way: Way) -> Callable[[], object]:
    """Make epochs of the real training loop."""
    images, labels = (one.to(where) for one in _pictures(size))
    wanted = Recipe(
        10**6,
        size.batch,
        RATE,
        augmentation="crop-flip",
        channels_last=way.channels_last,
        compile=way.compile,
    )
    network = untrained(model, CLASSES, size.pixels).to(where)
    order = torch.Generator().manual_seed(0)
    return train(network, images, labels, View(size.pixels), wanted, order).__next__


def _bare(model: str, where: torch.device, size: Size, way: Way) -> Callable[[], object]:
    """Make forward, backward and step on a batch that is there: what the loop could be at best."""
    network = untrained(model, CLASSES, size.pixels).to(where)
    run = running(network, way.channels_last, way.compile)
    network.train()
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    shape = (size.batch, 3, size.pixels, size.pixels)
    pixels = torch.randn(shape, device=where).contiguous(memory_format=layout)
    labels = torch.randint(0, CLASSES, (size.batch,), device=where)
    optimizer, _ = optimise(list(network.parameters()), Recipe(1, size.batch, RATE))

    def epoch() -> None:
        for _ in range(-(-size.examples // size.batch)):
            loss = F.cross_entropy(run(pixels).float(), labels)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(where.type, enabled=False):
                loss.backward()
            optimizer.step()

    return epoch


def _plain(model: str, where: torch.device, size: Size, way: Way) -> Callable[[], object]:
    """Make epochs of the plain recipe, in true float32: without TF32, which torch has as default."""
    images, labels = _pictures(size)
    batches = recipe.loader(images.numpy(), labels.numpy(), size.pixels, size.batch)
    network = untrained(model, CLASSES, size.pixels).to(where)
    return recipe.epochs(network, batches, RATE, device=where).__next__


def _passes(augmentation: str) -> Callable[..., Callable[[], object]]:
    """Make passes of the network over images as they are, or over random views of them."""

    def make(model: str, where: torch.device, size: Size, way: Way) -> Callable[[], object]:
        network = untrained(model, CLASSES, size.pixels).to(where)
        run = running(network, way.channels_last)
        images, _ = _pictures(size)
        order, view = torch.Generator().manual_seed(0), View(size.pixels)

        def look(some: Tensor) -> Tensor:
            return view.augmented(some, augmentation, order)

        def through() -> None:
            for outputs in outputs_of(run, images, look, where):
                outputs.cpu()

        return through

    return make


def _layers(model: str, where: torch.device, size: Size, way: Way) -> Callable[[], object]:
    """Make epochs of fine-tuning the last layers of 13 variants together, in float32."""
    network = untrained(model, CLASSES, size.pixels)
    layer: nn.Linear = linear(network, find_head(network, size.pixels))
    shape = (13, *layer.weight.shape)
    heads = Heads(torch.zeros(shape, device=where), torch.zeros(shape[:2], device=where))
    views = torch.randn(1, size.examples, layer.in_features)
    labels = torch.randint(0, CLASSES, (size.examples,), device=where)
    order = torch.Generator().manual_seed(0)
    epochs = finetune_heads(
        heads,
        torch.ones(shape, device=where),
        views,
        labels,
        Recipe(10**6, size.batch, RATE),
        order,
    )

    def epoch() -> None:
        with torch.autocast(where.type, enabled=False):
            next(epochs)

    return epoch


MAKERS = {
    BARE: _bare,
    PLAIN: _plain,
    FORWARD: _passes("none"),
    VIEWS: _passes("crop-flip"),
    LAYERS: _layers,
}


def operations(model: str, pixels: int) -> tuple[float, int]:
    """Count floating-point operations of forward and backward for an image, and the parameters."""
    network = untrained(model, CLASSES, pixels).to("meta")
    batch = torch.randn(2, 3, pixels, pixels, device="meta")
    with FlopCounterMode(display=False) as counter:
        network(batch).sum().backward()
    return counter.get_total_flops() / 2, sum(one.numel() for one in network.parameters())


def limits(device: str, edge: int, rounds: int) -> Iterator[tuple[str, float]]:
    """Measure the card's own limits: large products in each precision, and copying.

    Yields each with its name, in operations and in bytes a second.
    """
    for precision in ("bfloat16", "tf32", "float32"):
        with (
            held(device, Way(precision, False)) as where,
            torch.autocast(where.type, enabled=False),
        ):
            # Of its own type, so that no cast is timed.
            kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
            one = torch.randn(edge, edge, device=where).to(kind)
            out = torch.empty_like(one)
            times = timed(lambda one=one, out=out: _products(one, out), where, rounds)
            yield precision, 10 * 2 * edge**3 / min(times)
    with held(device, Way("float32", False)) as where:
        source = torch.zeros(edge * edge * 4, dtype=torch.uint8, device=where)
        target = torch.empty_like(source)
        times = timed(lambda: target.copy_(source), where, rounds)
        yield "copying", 2 * source.nbytes / min(times)


def _products(one: Tensor, out: Tensor) -> None:
    for _ in range(10):
        torch.matmul(one, one, out=out)
