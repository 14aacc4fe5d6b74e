"""Consoles: sinks for the person who watches a training. A line an epoch, and on a terminal a bar below the lines."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dpnet.output.events import EpochTaken, Event, Note, RanksLost, Sink, StepsTaken
from dpnet.output.footer import Footer, duration
from dpnet.output.screen import PlainScreen, Screen
from dpnet.parallel.scores import MEASURES, measure_text
from dpnet.text import counted

BETWEEN_S = 30.0
"""Seconds without a line after which a file or pipe gets one about the steps so far: an epoch may take hours."""
REDRAW_S = 0.2
SPEED_S = 20.0
"""The speed behind the time that is left is that of so many seconds."""


@dataclass(frozen=True)
class Length:
    """The length of a training, in steps, in samples, and in passes over the training data."""

    steps: int
    samples: int
    epochs: float


class LinesConsole:
    """A sink that prints a line for every epoch and every evaluation.

    Args:
        screen: gets the lines.
        length: of the training.
        shows_speed: no bar does.
    """

    def __init__(self, screen: Screen, length: Length, *, shows_speed: bool) -> None:
        self._screen, self._length, self._shows_speed = screen, length, shows_speed
        self._next_s = time.monotonic() + BETWEEN_S

    def write(self, event: Event) -> None:
        """See Sink.write."""
        now_s = time.monotonic()
        if isinstance(event, StepsTaken) and not (self._shows_speed and now_s >= self._next_s):
            return
        if text := line(event, self._length, shows_speed=self._shows_speed):
            self._next_s = now_s + BETWEEN_S
            self._screen.say(text)

    def close(self) -> None:
        """See Sink.close. The screen is not this console's to close."""


class BarConsole:
    """A sink that shows a bar: the epoch, the share of the samples, the time left, the training loss and the speed.

    Args:
        screen: shows it, in its footer.
        length: of the training.
        samples: tells how many samples were used up to now; asked several times a second, by another thread.
    """

    def __init__(self, screen: Screen, length: Length, samples: Callable[[], int]) -> None:
        self._screen, self._length, self._samples = screen, length, samples
        self._loss = ""
        self._seen = deque([(time.monotonic(), samples())])
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True)
        self._show()
        self._thread.start()

    def write(self, event: Event) -> None:
        """See Sink.write."""
        if isinstance(event, StepsTaken | EpochTaken):
            self._loss = measure_text("loss", event.loss)

    def close(self) -> None:
        """See Sink.close."""
        self._closed.set()
        self._thread.join()
        self._screen.show(None)

    def _redraw(self) -> None:
        while not self._closed.wait(REDRAW_S):
            self._show()

    def _show(self) -> None:
        now_s, samples, length = time.monotonic(), self._samples(), self._length
        self._seen.append((now_s, samples))
        while now_s - self._seen[0][0] > SPEED_S:
            self._seen.popleft()
        then_s, before = self._seen[0]
        speed = (samples - before) / max(now_s - then_s, 1e-9)
        share = samples / max(length.samples, 1)
        epochs = math.ceil(length.epochs)
        epoch = min(int(share * length.epochs) + 1, epochs)
        left = f"{duration((length.samples - samples) / speed)} left" if speed else ""
        facts = [left, self._loss, f"{speed:,.0f} samples/s" if speed else ""]
        self._screen.show(Footer(f"epoch {epoch}/{epochs}", share, [fact for fact in facts if fact]))


def make_consoles(kind: str, screen: Screen, length: Length, samples: Callable[[], int]) -> list[Sink]:
    """The consoles that `output.progress` asks for: "auto", "bar" or "plain"; none for "none".

    Args:
        kind: what is asked for; "auto" is a bar where the screen can show it.
        screen: where they are shown.
        length: of the training.
        samples: see BarConsole.
    """
    if kind == "none":
        return []
    if kind == "plain" or isinstance(screen, PlainScreen):
        return [LinesConsole(screen, length, shows_speed=True)]
    return [LinesConsole(screen, length, shows_speed=False), BarConsole(screen, length, samples)]


def line(event: Event, length: Length, *, shows_speed: bool) -> str:
    """An event as a line of text; empty for an event that consoles do not show."""
    match event:
        case Note():
            return event.text
        case RanksLost():
            names = ", ".join(f"rank {rank} on {host}" for rank, host in zip(event.ranks, event.hosts, strict=True))
            return (
                f"lost {names} (noticed after {event.detect_s:.2f} s); going on after step {event.step:,} with "
                f"{counted(event.world_size, 'rank')}, {event.recover_s:.2f} s later"
            )
        case StepsTaken() | EpochTaken():
            since = f" (since step {event.since:,})" if isinstance(event, EpochTaken) and event.since else ""
            parts = [_place(event, length), f"training {measure_text('loss', event.loss)}{since}"]
            if isinstance(event, EpochTaken) and event.eval_scores:
                scores = [measure_text(name, value) for name, value in event.eval_scores.items()]
                parts.append(f"{event.eval_split} {', '.join(scores)}")
            else:
                parts.append(f"training {_measure(event)}")
            return "  ".join([*parts, f"{event.samples_per_s:,.0f} samples/s"] if shows_speed else parts)
    return ""


def _measure(event: StepsTaken | EpochTaken) -> str:
    """The measure of training samples beside the loss, in words."""
    measures = {name: getattr(event, name, None) for name in MEASURES if name != "loss"}
    return next((measure_text(name, value) for name, value in measures.items() if value is not None), "")


def _place(event: StepsTaken | EpochTaken, length: Length) -> str:
    if event.epoch.is_integer() and length.epochs.is_integer():
        epochs = f"{length.epochs:.0f}"
        return f"epoch {event.epoch:{len(epochs)}.0f}/{epochs}"
    return f"epoch {event.epoch:.2f}, step {event.step:,}/{length.steps:,}"
