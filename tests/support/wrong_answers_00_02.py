"""What a reader of notebooks 00 to 02 might write: code, and words of the reason."""

WRITTEN: dict[str, list[tuple[str, str]]] = {
    "sample_places": [
        (
            """
def sample_places(w, g):
    t = torch.linspace(-1, 1, g)
    y, x = torch.meshgrid(t, t, indexing='ij')
    return torch.stack([w[0] * x + w[1], w[0] * y + w[2]], -1)
""",
            "edges of the window",
        ),
        (
            """
def sample_places(w, g):
    t = (torch.arange(g) + 0.5) * 2 / g - 1
    x, y = torch.meshgrid(t, t, indexing='ij')
    return torch.stack([w[0] * x + w[1], w[0] * y + w[2]], -1)
""",
            "indexing='xy'",
        ),
    ],
    "read_block": [
        (
            """
def read_block(m, w, g):
    grid = window_grid(w[None], g, align_corners=True)
    return F.grid_sample(m[None], grid, align_corners=True)[0]
""",
            "align_corners=True",
        ),
        (
            """
def read_block(m, w, g):
    grid = window_grid(w[None], g)
    return F.grid_sample(m[None], grid.flip(-1), align_corners=False)[0]
""",
            "swapped",
        ),
        (
            """
def read_block(m, w, g):
    grid = window_grid(w[None], g)
    return F.grid_sample(m[None], grid, padding_mode='border', align_corners=False)[0]
""",
            "outside",
        ),
    ],
    "place_block": [
        (
            """
def place_block(b, w, size):
    grid = window_grid(w[None], size)
    return F.grid_sample(b[None], grid, align_corners=False)[0]
""",
            "does not invert",
        ),
        (
            """
def place_block(b, w, size):
    s, x, y = w
    grid = window_grid(torch.stack([1 / s, x / s, y / s])[None], size)
    return F.grid_sample(b[None], grid, align_corners=False)[0]
""",
            "sign",
        ),
    ],
    "flip_bits": [
        (
            """
def flip_bits(x, share, generator):
    return (x + torch.rand(x.shape, generator=generator).lt(share)) % 3
""",
            "1 - x",
        ),
        (
            """
def flip_bits(x, share, generator):
    flip = torch.rand_like(x) < share
    return torch.where(flip, 1 - x, x)
""",
            "generator was not used",
        ),
        (
            """
def flip_bits(x, share, generator):
    flip = torch.rand(x.shape, generator=generator) < share
    x[flip] = 1 - x[flip]
    return x
""",
            "in place",
        ),
    ],
    "read_score": [
        (
            """
def read_score(total, swap, length):
    if total < math.log2(length): return 'impossible'
    return 'read' if swap > total + 1 else 'not read'
""",
            "math.log",
        ),
        (
            """
def read_score(total, swap, length):
    return 'read' if swap > total + 1 else 'not read'
""",
            "floor was not looked",
        ),
    ],
    "kl_gaussians": [
        (
            """
def kl_gaussians(a, s, b, t):
    return ((t / s).log() + (s**2 + (a - b)**2) / t**2 - 1).sum(-1)
""",
            "half is missing",
        ),
        (
            """
def kl_gaussians(a, s, b, t):
    return ((s / t).log() + (t**2 + (a - b)**2) / s**2 / 2 - 0.5).sum(-1)
""",
            "swapped",
        ),
        (
            """
def kl_gaussians(a, s, b, t):
    return ((t / s).log() + (s**2 + (a - b)**2) / t**2 / 2 - 0.5).mean(-1)
""",
            "averaged",
        ),
    ],
    "three_terms": [
        (
            """
def three_terms(x, z, y, qz, qy):
    return dict(recon=-x.mean(0), kl_z=(z - qz).mean(0), kl_y=(y - qy).mean(0))
""",
            "turned round",
        ),
        (
            """
def three_terms(x, z, y, qz, qy):
    T = x.shape[1]
    return dict(recon=-x.mean(0), kl_z=(qz - z).mean(0) / T, kl_y=(qy - y).mean(0) / T)
""",
            "divided by T",
        ),
        (
            """
def three_terms(x, z, y, qz, qy):
    return -x.mean(0), (qz - z).mean(0), (qy - y).mean(0)
""",
            "Return a dict",
        ),
    ],
    "importance_weighted": [
        (
            """
def importance_weighted(log_w):
    return -log_w.mean(0)
""",
            "mean of the logarithms",
        ),
        (
            """
def importance_weighted(log_w):
    return -log_w.exp().sum(0).log()
""",
            "ln S is missing",
        ),
        (
            """
def importance_weighted(log_w):
    return -log_w.exp().mean(0).log()
""",
            "logsumexp",
        ),
    ],
    "table_total": [
        (
            """
def table_total(stored, p_slot, x):
    return -p_slot.log()[:len(x)].mean()
""",
            "search the table",
        ),
        (
            """
def table_total(stored, p_slot, x):
    same = (x[:, None] == stored).all(-1).float()
    return -(same @ p_slot).log2().mean()
""",
            "log2",
        ),
    ],
}
