"""What tests of the browser look at, wherever a view is shown."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest


def errors(notebook: dict) -> list[str]:
    """What the cells raised."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]


def assert_plays(frame) -> None:
    """The first player of a page starts, its playhead moves, a click on the wave seeks."""
    head, audio, track = (frame.locator(name).first for name in (".head", "audio", ".track"))
    frame.locator(".play").first.click()
    wait_until(lambda: position(head) > 0)
    audio.evaluate("node => node.pause()")
    track.click(position={"x": 0.75 * track.bounding_box()["width"], "y": 20})
    wait_until(lambda: position(head) == pytest.approx(75, abs=2))


def assert_speaks(frame) -> None:
    """A sentence plays, a click on its third token plays from there, another version goes on at the same place."""
    head, play = frame.locator(".head").first, frame.locator(".play")
    play.click()
    wait_until(lambda: position(head) > 0)
    token = frame.locator(".token").nth(2)
    token.click()
    start = float(re.search(r"left: ([\d.]+)%", token.get_attribute("style"))[1])
    wait_until(lambda: start <= position(head) < start + 5)
    wait_until(lambda: position(head) > start)
    if play.get_attribute("aria-label") == "pause":
        play.click()
    wait_until(lambda: play.get_attribute("aria-label") == "play")
    before = position(head)
    frame.locator(".version").nth(1).click()
    assert before > start
    wait_until(lambda: position(head) == pytest.approx(before, abs=0.5))


def assert_opens_a_head(frame) -> None:
    """Another head of an attention page is opened by a click."""
    frame.get_by_role("button", name="layer 2, head 3").click()
    wait_until(lambda: "layer 2, head 3" in frame.locator(".opened").inner_text().lower())


def position(head) -> float:
    """Where a playhead stands, in per cent."""
    return float(re.search(r"left: ([\d.]+)%", head.get_attribute("style"))[1])


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "the page did not get there in time"
        time.sleep(0.05)


def frames(page: Any) -> Iterator[tuple[str, Any]]:
    """The views that a page of notebooks shows, each with its kind."""
    for frame in page.frames[1:]:
        kind = frame.evaluate("document.body.dataset.view ?? ''")
        assert kind, f"a frame that is no view of ours: {frame.content()[:300]}"
        yield kind, frame


def frame_of(page: Any, kind: str) -> Any:
    """The only view of a kind."""
    (frame,) = (frame for found, frame in frames(page) if found == kind)
    return frame
