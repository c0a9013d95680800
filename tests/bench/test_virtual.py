import pytest

from benchmarks.virtual import VirtualEngine
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.events import Cancelled, EpochDone, Finished, Started
from fmnist_sweep.core.jobs import DataRef, TrialJob

DATA = DataRef("tiny", "0" * 64, (2, 2, 1), ("a", "b"), 100, "/nowhere")


def job(trial: int, *, epochs: int = 2, seconds: float = 1.0) -> TrialJob:
    return TrialJob(trial, "none:Model", {"seconds": seconds}, epochs, 0, DATA)


def curve(of: TrialJob) -> LearningCurve:
    seconds = float(of.hyperparameters["seconds"])
    return LearningCurve(tuple(EpochScores.of_classes(e, 0.5, 0.5, 0.5, 0.5, seconds) for e in range(4)))


def test_jobs_run_side_by_side_on_one_clock() -> None:
    """Events come in the order of their moments, those of one moment together, and time adds up."""
    seen: list[float] = []
    engine = VirtualEngine(curve, 2, start_s=0.5, watch=lambda _: seen.append(engine.now))
    engine.submit(job(0))
    engine.submit(job(1, epochs=1, seconds=3.0))
    told = []
    while engine.running:
        told.append(((engine.now), [type(event) for event in engine.events(0)]))
    assert [kinds for _, kinds in told] == [
        [Started, Started],
        [EpochDone],
        [EpochDone, Finished],
        [EpochDone, Finished],
    ]
    assert seen == [1.5, 2.5, 3.5]
    assert (engine.now, engine.n_epochs, engine.events(0)) == (3.5, 3, [])


def test_a_cancelled_job_is_silent_and_its_slot_free() -> None:
    """At that very moment, in the middle of an epoch too."""
    engine = VirtualEngine(curve, 1)
    engine.submit(job(0))
    with pytest.raises(RuntimeError, match="slots are taken"):
        engine.submit(job(1))
    engine.events(0)
    engine.cancel(0)
    engine.cancel(0)
    assert (engine.events(0), engine.now) == ([Cancelled(0)], 0.0)
    engine.submit(job(1, epochs=1))
    events = [event for _ in range(2) for event in engine.events(0)]
    assert {event.trial for event in events} == {1}
    assert engine.now == 1.0


def test_resumed_epochs_are_told_and_take_no_time() -> None:
    """They come with the start, and count as trained by whoever trained them."""
    engine = VirtualEngine(curve, 1)
    engine.submit(job(0, epochs=3), n_resumed=2)
    assert engine.events(0) == [Started(0, 1000, 2), *(EpochDone(0, s) for s in curve(job(0)).epochs[:2])]
    assert engine.now == 0.0
    engine.events(0)
    assert (engine.now, engine.n_epochs) == (1.0, 1)


def test_a_slower_peer_takes_longer_throughout() -> None:
    """The factor is on start and epochs alike."""
    engine = VirtualEngine(curve, 1, start_s=1.0, slowness=2.5)
    engine.submit(job(0))
    while engine.running:
        engine.events(0)
    assert engine.now == 2.5 * 3
