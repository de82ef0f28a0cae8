"""Event time: how far the predicted time of an event is from the true one."""

import torch
from torch import Tensor


def event_time_error(hazards: Tensor, events: Tensor) -> Tensor:
    """Timesteps between the highest hazard of a window and its event, the first where there are several.

    Where several hazards are equally high, the first of them is taken.

    Args:
        hazards: predicted probability (or its logit) of an event, by window and timestep, `[..., L]`.
        events: bool, whether there is one, `[..., L]`.

    Returns:
        float32 `[...]`, NaN for windows without event: `nanmean` is the mean over the others.

    Raises:
        ValueError: if the two differ in shape.
    """
    if hazards.shape != events.shape:
        raise ValueError(
            f"hazards are {list(hazards.shape)} and events {list(events.shape)}, but both must be of one shape; "
            "give one hazard for each timestep of each window."
        )
    error = (hazards.argmax(-1) - events.int().argmax(-1)).abs().float()
    return torch.where(events.any(-1), error, torch.nan)
