"""Generators that would be suspended in a mode, and leave their caller in it."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minigrad as mg

T = mg.tensor([1.0, 2.0], requires_grad=True)


def yields_at_once():
    with mg.no_grad():
        yield 1


def yields_in_a_loop(n=3):
    for i in range(n):
        with mg.no_grad():
            try:
                yield T * i
            finally:
                pass


def yields_from_another():
    with mg.detect_anomaly():
        yield from [1, 2]


def yields_among_others():
    with contextlib.nullcontext(), mg.no_grad() as _, contextlib.nullcontext():
        if T.ndim:
            yield 1
        return


def after_the_block():
    for _ in range(2):
        try:
            yield T.detach()
        finally:
            pass
        with mg.no_grad():
            a = [x * 2 for x in T]
            with contextlib.suppress(TypeError):
                a = T * 2
        yield a
    with contextlib.nullcontext():
        yield a


async def asynchronous():
    with mg.no_grad():
        yield 1


async def awaits_inside():
    with mg.no_grad():
        await asyncio.sleep(0)
    yield T * 1


@pytest.mark.parametrize(
    "generator", [yields_at_once, yields_in_a_loop, yields_from_another, yields_among_others]
)
def test_a_generator_that_would_leave_its_caller_in_a_mode_is_refused(generator):
    with pytest.raises(RuntimeError, match="yields inside of `with mg"):
        next(generator())
    assert (T * 2).requires_grad


def test_a_generator_that_yields_after_the_block_is_not():
    for a in after_the_block():
        assert not a.requires_grad
        assert (T * 2).requires_grad


def test_asynchronous_generators():
    async def run(generator):
        return [each async for each in generator()]

    with pytest.raises(RuntimeError, match="yields inside of `with mg"):
        asyncio.run(run(asynchronous))
    assert asyncio.run(run(awaits_inside))[0].requires_grad


def test_a_context_manager_may_be_written_so():
    @contextlib.contextmanager
    def evaluating():
        with mg.no_grad():
            yield

    with evaluating():
        assert not (T * 2).requires_grad
    assert (T * 2).requires_grad


def test_the_gradient_that_was_wrong():
    """A function that takes what it adds up from a generator."""

    def f(x):
        return sum(np.sum(x**2) for _ in yields_in_a_loop())

    with pytest.raises(RuntimeError):
        mg.grad(f)(np.ones(2))


def test_one_context_manager_is_entered_by_threads_and_tasks_at_once():
    """A module may keep one: each thread leaves the block as it has entered it."""
    off, x, meet = mg.no_grad(), mg.tensor([1.0], requires_grad=True), threading.Barrier(2)

    def recorded():
        with off, off:
            meet.wait()
            inside = (x * 2).requires_grad
            meet.wait()
        return inside, (x * 2).requires_grad

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(recorded) for _ in range(2)]
    assert [each.result() for each in found] == [(False, True)] * 2

    async def waits():
        with off:
            await asyncio.sleep(0)
            inside = (x * 2).requires_grad
        await asyncio.sleep(0)
        return inside, (x * 2).requires_grad

    async def both():
        return await asyncio.gather(waits(), waits())

    assert asyncio.run(both()) == [(False, True)] * 2
