"""The laid-out step computes what the model computes."""

from __future__ import annotations

import pytest
import torch
from small import small_model

from models.cache import Window
from models.mtp import HeadType
from models.sampling import tolerance
from models.step import StepModel

HEADS: list[HeadType] = ["transformer", "causal", "anticausal", "linear", "replicated"]


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("head_type", HEADS)
def test_steps_over_ragged_blocks_give_the_logits_of_one_pass_over_the_text(
    head_type: HeadType, n: int, num_kv_heads: int
) -> None:
    model = small_model(n=n, head_type=head_type, num_kv_heads=num_kv_heads)
    tokens = torch.randint(0, 257, (3, 14), generator=torch.Generator().manual_seed(1))
    expected = model(tokens, return_all_heads=True)
    step = StepModel(model)
    cache = step.new_cache(5, 20)
    positions = torch.tensor([[0], [3], [5]])  # rows 1 to 3 of the cache, each somewhere else
    with torch.inference_mode():
        for row, start in enumerate([0, 3, 5]):
            if start:
                before = torch.arange(start)[None]
                window = Window(cache, 1 + row, before, start)
                _, states = step.run(tokens[row : row + 1, :start], before, window)
                if step.extra_heads is not None:
                    step.extra_heads.extend(states, before, window)
        for width in (1, 4, 2):
            block = positions + torch.arange(width)
            window = Window(cache, 1, block, int(block.max()) + 1)
            following, states = step.run(tokens.gather(1, block), block, window)
            torch.testing.assert_close(
                step.unembed(following), torch.stack([expected[r, block[r], 0] for r in range(3)]), rtol=0, atol=1e-9
            )
            if n > 1:
                states = step.extra_heads.extend(states, block, window)
                for count in range(1, n):
                    drafts = step.extra_heads.draft(states[:, -1], block[:, -1], window, count)
                    wanted = torch.stack([expected[r, block[r, -1], 1 : 1 + count] for r in range(3)])
                    torch.testing.assert_close(drafts, wanted, rtol=0, atol=1e-9)
            positions = positions + width


def test_parameters_become_views_of_the_joined_weights() -> None:
    model = small_model(n=4)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    step = StepModel(model)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    joined = {weight.untyped_storage().data_ptr() for layer in step._layers for weight in layer}
    assert model.layers[0].attention.wk.weight.untyped_storage().data_ptr() in joined


def test_the_model_still_answers_after_its_weights_were_joined() -> None:
    model = small_model(n=4)
    tokens = torch.arange(10)[None]
    before = model(tokens, return_all_heads=True)
    StepModel(model)
    assert torch.equal(before, model(tokens, return_all_heads=True))


@pytest.mark.parametrize(
    ("head_type", "spread"), [*((head_type, 1.0) for head_type in HEADS), ("transformer", 0.1), ("transformer", 5.0)]
)
def test_rounding_stays_far_within_the_tolerance_for_every_width_and_batch(head_type: HeadType, spread: float) -> None:
    """What close calls rest on: 32-bit logits are never as wrong as is allowed for."""
    exact = small_model(head_type=head_type, spread=spread)
    tokens = torch.randint(0, 257, (1, 65), generator=torch.Generator().manual_seed(1))
    expected = exact(tokens)[0, :, 0]
    worst = 0.0
    for rows, width in [(1, 1), (1, 65), (7, 1), (32, 5), (64, 13)]:
        step = StepModel(small_model(head_type=head_type, spread=spread, dtype=torch.float32))
        cache = step.new_cache(rows, 72)
        with torch.inference_mode():
            for start in range(0, 65, width):
                positions = (start + torch.arange(width)).expand(rows, width).contiguous()
                window = Window(cache, 0, positions, start + width)
                following, _ = step.run(tokens[:, start : start + width].expand(rows, width), positions, window)
                logits = step.unembed(following)
                wrong = (logits.double() - expected[start : start + width]).abs().amax(-1)
                worst = max(worst, float((wrong / tolerance(logits)).max()))
    assert worst < 0.1
