"""The same on a GPU, through graphs; needs a CUDA device."""

from __future__ import annotations

import pytest
import torch
from small import decode, small_model

from models.backend import Sampling
from models.decode_bench import step_costs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

PROMPTS = ["def f(x):", "", "return sum(" * 4, "x = 1\n"]


@pytest.mark.parametrize("head_type", ["transformer", "causal", "anticausal", "linear", "replicated"])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_graphs_on_a_gpu_write_what_plain_steps_on_a_cpu_write(head_type: str, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, top_p=0.95, max_new_tokens=40)
    expected, _ = decode(small_model(head_type=head_type), PROMPTS, sampling, samples=3)  # type: ignore[arg-type]
    for k in (1, 2, 4):
        model = small_model(head_type=head_type).cuda()  # type: ignore[arg-type]
        found, stats = decode(model, PROMPTS, sampling, k=k, batch_size=8, samples=3)
        assert found == expected
        assert stats.steps[k] >= 3  # two as they are, then a graph


def test_the_cost_of_steps_can_be_measured() -> None:
    costs = step_costs("1m", 1, device="cuda")
    assert [cost.k for cost in costs] == [1, 2, 3, 4]
    assert all(cost.seconds > 0 for cost in costs)
