"""Generation: what an RNN writes on its own, token by token, from a prompt."""

import torch
from torch import Tensor

from memtrain.networks.rnn import RNN
from memtrain.options import require_at_least


def generate_tokens(
    rnn: RNN, prompt: Tensor, length: int, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Feed a prompt, then each drawn token, at constant memory and constant cost a token.

    Args:
        rnn: an RNN of next-token data (`y_t = x_{t+1}`).
        prompt: int64 `[B, P]`, P at least 1.
        length: tokens to draw.
        temperature: divides the logits; 1 draws from the learned distribution, 0 takes the likeliest token.
        generator: a CPU generator; None: torch's global one.

    Returns:
        The drawn tokens without the prompt, int64 `[B, length]`.

    Raises:
        ValueError: for a negative temperature.
    """
    require_at_least("--temperature", temperature, 0, example="1, which draws as learned")
    drawn: list[Tensor] = []
    with torch.inference_mode():
        stream, memory = rnn.prepared(), None
        for token in prompt.unbind(1):
            logits, memory = stream(token, memory)
        while len(drawn) < length:
            if temperature == 0:
                token = logits.argmax(-1)
            else:
                # Drawn on the CPU, so that a seed gives the same tokens on every device.
                exact = logits.cpu().double()
                relative = exact - exact.amax(-1, keepdim=True)  # no overflow at low temperatures
                odds = (relative / temperature).softmax(-1)
                token = torch.multinomial(odds, 1, generator=generator).squeeze(1).to(prompt.device)
            drawn.append(token)
            logits, memory = stream(token, memory)
    return torch.stack(drawn, dim=1)
