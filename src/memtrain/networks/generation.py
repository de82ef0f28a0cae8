"""Generation: what a model writes on its own, token by token, from a prompt."""

import torch
from torch import Tensor

from memtrain.limits import require_at_least
from memtrain.networks.sequence_model import Streaming


def generate_tokens(
    model: Streaming,
    prompt: Tensor,
    length: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Feed a prompt, then each drawn token; an RNN does it at constant memory and constant cost a token.

    Args:
        model: a model of next-token data (`y_t = x_{t+1}`).
        prompt: int64 `[B, P]`, P at least 1.
        length: tokens to draw.
        temperature: 1 draws from the learned distribution, 0 takes the likeliest token.
        generator: a CPU generator; None: torch's global one.

    Returns:
        The drawn tokens without the prompt, int64 `[B, length]`.

    Raises:
        ValueError: for a negative temperature.
    """
    require_at_least("--temperature", temperature, 0, example="1, which draws as learned")
    drawn: list[Tensor] = []
    with torch.inference_mode():
        stream, state = model.prepared(), None
        for token in prompt.unbind(1):
            parameters, state = stream(token, state)
        while len(drawn) < length:
            token = model.head.sample(parameters, temperature, generator)
            drawn.append(token)
            parameters, state = stream(token, state)
    return torch.stack(drawn, dim=1)
