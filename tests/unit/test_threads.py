"""The loss on a CPU with several threads: it has threads of its own, and leaves those of its caller alone."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from inputs import labels, logits, loss_and_grad

from asl_mmdet.losses import _eager, _threads
from asl_mmdet.losses.functional import asymmetric_loss, asymmetric_softmax_loss

N, C = 6_000, 40  # several chunks, and more than is left to the caller's thread
KWARGS = dict(gamma_pos=1, gamma_neg=2, clip=0.05, ignore_above=0.6, reduction="sum")


@pytest.fixture(autouse=True, params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def threads_of_a_new_thread():
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(torch.get_num_threads).result()


def data(kind):
    return logits(N, C).float(), labels(kind, (N, C))


@pytest.mark.parametrize("kind", ["index", "hard", "soft"])
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_number_of_threads_changes_nothing(kind, reduction, threads):
    z, target = data(kind)
    kwargs = {**KWARGS, "reduction": reduction}
    found = loss_and_grad(z, target, **kwargs)
    torch.set_num_threads(1)
    expected = loss_and_grad(z, target, **kwargs)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def softmax(z):
    return asymmetric_softmax_loss(z, torch.full((N,), 3), gamma_pos=1, gamma_neg=2, label_smoothing=0.1)


@pytest.mark.parametrize(
    "call", [lambda z: asymmetric_loss(z, data("index")[1], **KWARGS), softmax], ids=["sigmoid", "softmax"]
)
def test_caller_keeps_its_threads_and_new_threads_get_them(call, threads):
    z = data("index")[0].requires_grad_()
    for _ in range(2):
        call(z).backward()
        assert torch.get_num_threads() == threads
        assert threads_of_a_new_thread() == threads
        assert torch.is_grad_enabled()


def test_caller_keeps_its_threads_after_an_error(threads):
    z, target = data("index")
    target[-1] = C + 1
    for _ in range(2):
        with pytest.raises(ValueError, match=f"class index {C + 1}"):
            asymmetric_loss(z, target, **KWARGS)
        assert torch.get_num_threads() == threads_of_a_new_thread() == threads


def test_error_in_one_chunk_is_raised_and_the_next_call_works(monkeypatch, threads):
    z, target = data("index")
    expected = asymmetric_loss(z, target, **KWARGS)
    with monkeypatch.context() as patched:
        patched.setattr(_eager, "negative_loss", lambda z, *args: 1 / 0 if len(z) < N // 2 else None)
        with pytest.raises((ZeroDivisionError, TypeError)):
            asymmetric_loss(z, target, **KWARGS)
    assert torch.equal(asymmetric_loss(z, target, **KWARGS), expected)


def test_operators_inside_have_one_thread(monkeypatch):
    seen = []
    original = _eager.negative_loss

    def spied(*args, **kwargs):
        seen.append((torch.get_num_threads(), torch.is_grad_enabled()))
        return original(*args, **kwargs)

    monkeypatch.setattr(_eager, "negative_loss", spied)
    asymmetric_loss(data("index")[0].requires_grad_(), data("index")[1], **KWARGS)
    assert len(seen) > 1 and set(seen) == {(1, False)}


def test_many_callers_at_once_get_what_one_gets():
    z, target = data("index")
    expected = loss_and_grad(z, target, **KWARGS)
    all_ready = threading.Barrier(20)

    def call(_):
        torch.set_num_threads(5)  # more than the pool has on a small machine
        all_ready.wait()
        return [loss_and_grad(z, target, **KWARGS) for _ in range(3)]

    with ThreadPoolExecutor(20) as executor:
        found = [result for results in executor.map(call, range(20)) for result in results]
    assert all(torch.equal(a, b) for pair in found for a, b in zip(pair, expected, strict=True))


class Losses(torch.utils.data.Dataset):
    """Items that are losses, as a data set that mines hard examples has them."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return torch.stack([asymmetric_loss(*data("index"), **KWARGS), torch.tensor(float(torch.get_num_threads()))])


def test_workers_of_a_data_loader_use_the_loss():
    expected = asymmetric_loss(*data("index"), **KWARGS)
    (found,) = torch.utils.data.DataLoader(Losses(), batch_size=2, num_workers=1, timeout=60)
    assert torch.equal(found[:, 0], expected.expand(2)) and (found[:, 1] == 1).all()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_forked_process_has_threads_of_its_own():
    z, target = data("index")  # made here: PyTorch's own parallel operators hang in a forked process
    expected = asymmetric_loss(z, target, **KWARGS)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=lambda: queue.put(asymmetric_loss(z, target, **KWARGS).item()))
    process.start()
    assert queue.get(timeout=60) == expected.item()
    process.join(60)
    assert process.exitcode == 0


def test_small_and_other_tensors_stay_with_the_caller():
    assert _threads.threads_for(torch.zeros(2**15 - 1)) == 1
    assert _threads.threads_for(torch.zeros(2**15, device="meta")) == 1
    assert _threads.threads_for(torch.zeros(2**15)) == torch.get_num_threads()
