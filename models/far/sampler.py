"""The sampler of FAR-Long: Euler steps from noise to the next frame, against the KV cache."""

from torch import Tensor

from models.far.frame_pass import FrameCondition, attend_cache, run_blocks
from models.far.kv_cache import MultiLevelKVCache
from models.far.network import FARNetwork
from models.nn.flow_matching import euler_step

LATENT_LIMIT = 12.0


def sample(
    net: FARNetwork,
    cache: MultiLevelKVCache,
    frame_condition: FrameCondition,
    noise: Tensor,
    schedule: list[tuple[float, float]],
) -> Tensor:
    """The next frames `[B,C,h,w]` from noise of that shape.

    Args:
        net: the network.
        cache: what the frames attend to.
        frame_condition: its passes begin with those of the schedule.
        noise: where the sampler starts.
        schedule: noise level t and step d of every step (models/nn/noise_schedule.py).
    """
    latents = noise
    attend = attend_cache(cache, frame_condition.ids, with_keyframes=True)
    for turn, (t, d) in enumerate(schedule):
        x = frame_condition.block_input(net.embed(latents.unsqueeze(1)), turn)
        x, _ = run_blocks(net, x, attend, to_the_end=True)
        condition = frame_condition.condition[:, turn : turn + 1]
        predicted = net.predict(x, condition)[:, 0]
        latents = euler_step(latents, predicted, t, d).clamp(-LATENT_LIMIT, LATENT_LIMIT)
    return latents
