"""Muon (Jordan et al., 2024) for the hidden matrices: momentum, orthogonalised by Newton-Schulz.

torch.optim.Muon always computes in bfloat16, which processors without such instructions do several
hundred times slower than float32 (docs/LOG.md); this one is told in what to compute, and takes
matrices of one shape in one batch.
"""

import torch
from torch import Tensor

from models.training import distributed


def orthogonalise(
    matrices: Tensor, steps: int = 5, precision: torch.dtype = torch.float32
) -> Tensor:
    """The nearest (about) orthogonal matrices to `[K, rows, columns]`; quintic coefficients of the
    original.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(precision)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon with decoupled weight decay; step sizes as large as AdamW's (root mean square 0.2 lr,
    arXiv 2502.16982).
    """

    def __init__(
        self,
        params,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        precision: torch.dtype = torch.float32,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.precision = precision

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            shapes: dict[tuple, list[Tensor]] = {}
            for param in group["params"]:
                if param.grad is not None:
                    shapes.setdefault(tuple(param.shape), []).append(param)
            for params in shapes.values():
                self._step_alike(params, group)

    def _orthogonalise_shared(self, matrices: Tensor) -> Tensor:
        """Orthogonalise; several processes take turns at the matrices and exchange the results."""
        if distributed.count() == 1:
            return orthogonalise(matrices, precision=self.precision)
        mine = slice(distributed.rank(), None, distributed.count())
        updates = torch.zeros_like(matrices)
        if len(matrices[mine]):
            updates[mine] = orthogonalise(matrices[mine], precision=self.precision)
        torch.distributed.all_reduce(updates)
        return updates

    def _step_alike(self, params: list[Tensor], group: dict) -> None:
        for param in params:
            if "momentum" not in self.state[param]:
                self.state[param]["momentum"] = torch.zeros_like(param)
        momenta = [self.state[param]["momentum"] for param in params]
        grads = [param.grad for param in params]
        torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
        nesterov = torch._foreach_lerp(grads, momenta, group["momentum"])
        updates = self._orthogonalise_shared(torch.stack(nesterov))
        rate = group["lr"] * 0.2 * max(params[0].shape) ** 0.5
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, list(updates.unbind()), alpha=-rate)
