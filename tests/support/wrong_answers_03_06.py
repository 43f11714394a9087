"""What a reader of notebooks 03 to 06 might write: code, and words of the reason."""

WRITTEN: dict[str, list[tuple[str, str]]] = {
    "TableMemory": [
        (
            """
class TableMemory:
    def __init__(self, flip): self.f = flip
    def write(self, p): self.p = p
    def find(self, cue): return (self.p @ cue).argmax()
""",
            "overlap",
        ),
        (
            """
class TableMemory:
    def __init__(self, flip): self.f = flip
    def write(self, p): self.p = p
    def find(self, cue): return (self.p - cue).square().sum(-1).argmin()
""",
            "squared distance",
        ),
        (
            """
class TableMemory:
    def write(self, p): self.p = p
    def find(self, cue): return 0
""",
            "arguments",
        ),
    ],
    "swap_gap": [
        (
            """
def swap_gap(total, x, memory):
    return (total(x, memory.flip(0)) - total(x, memory)).mean()
""",
            "middle",
        ),
        (
            """
def swap_gap(total, x, memory):
    return (total(x, memory) - total(x, memory.roll(1, 0))).mean()
""",
            "sign",
        ),
        (
            """
def swap_gap(total, x, memory):
    return (total(x, 0 * memory) - total(x, memory)).mean()
""",
            "empty",
        ),
    ],
    "retrieval_top1": [
        (
            """
def retrieval_top1(pictures, images):
    d = torch.cdist(images.flatten(1), pictures.flatten(1))
    return (d.argmin(1) == torch.arange(len(d))).float().mean()
""",
            "wrong way round",
        ),
        (
            """
def retrieval_top1(pictures, images):
    d = torch.cdist(pictures.flatten(1), images.flatten(1))
    return (d.argmin(1) == torch.arange(len(d))).sum()
""",
            "divide by T",
        ),
    ],
    "train_step": [
        (
            """
def train_step(model, optimizer, x, generator, beta_z, beta_y, clip):
    loss = model(x, generator).mean().weighted(beta_z, beta_y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss
""",
            "zero_grad",
        ),
        (
            """
def train_step(model, optimizer, x, generator, beta_z, beta_y, clip):
    loss = model(x, generator).mean().total
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss
""",
            "plain total",
        ),
        (
            """
def train_step(model, optimizer, x, generator, beta_z, beta_y, clip):
    loss = model(x, generator).mean().weighted(beta_z, beta_y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    return loss
""",
            "not clipped",
        ),
    ],
    "warmup_weight": [
        (
            """
def warmup_weight(step, steps, warmup):
    return min(1, step / steps)
""",
            "over all the steps",
        ),
        (
            """
def warmup_weight(step, steps, warmup):
    return min(1, step / (warmup * steps))
""",
            "0 / 0",
        ),
    ],
    "used_or_ornament": [
        (
            """
def used_or_ornament(s):
    a, b = s['memory_swap'] - s['total'], s['prior_keys'] - s['total']
    return dict(swap_gap=a, key_gap=b, word='ornament' if a < 1 else 'not addressed' if b < 1 else 'used')
""",
            "KL_Y",
        ),
        (
            """
def used_or_ornament(s):
    a, b = s['memory_swap'] - s['total'], s['prior_keys'] + s['kl_y'] - s['total']
    return dict(swap_gap=a, key_gap=b, word='used' if a > 1 else 'ornament')
""",
            "swap alone",
        ),
        (
            """
def used_or_ornament(s):
    return 'used'
""",
            "Return a dict",
        ),
    ],
    "clean_up": [
        (
            """
def clean_up(cue, keys_of, read, steps):
    return [cue] + [read(keys_of(cue)) for n in range(steps)]
""",
            "next cue",
        ),
        (
            """
def clean_up(cue, keys_of, read, steps):
    out = []
    for n in range(steps):
        cue = read(keys_of(cue))
        out.append(cue)
    return out
""",
            "step 0",
        ),
    ],
    "who_cleans": [
        (
            """
def who_cleans(clean, noisy, own, another):
    a, b, c = (100 * ((p > 0.5) != (clean > 0.5)).float().mean() for p in (noisy, own, another))
    return dict(noisy=a, own=b, another=c, who='memory' if b < a else 'nobody')
""",
            "control",
        ),
        (
            """
def who_cleans(clean, noisy, own, another):
    a, b, c = (100 * (p - clean).abs().mean() for p in (noisy, own, another))
    return dict(noisy=a, own=b, another=c, who='nobody' if b >= a else 'memory' if b < c else 'decoder')
""",
            "one half",
        ),
    ],
    "key_of": [
        (
            """
def key_of(w):
    return torch.atanh(w)
""",
            "first number",
        ),
        (
            """
def key_of(w):
    x = w[..., 1:]
    return torch.cat([0 * w[..., :1], torch.log((1 + x) / (1 - x))], -1)
""",
            "one half of ln",
        ),
    ],
    "log_p_key": [
        (
            """
def log_p_key(y):
    return -(y**2).sum((-2, -1)) / 2
""",
            "constant is missing",
        ),
        (
            """
def log_p_key(y):
    return torch.distributions.Normal(0., 1.).log_prob(y).sum(-1)
""",
            "One number per key",
        ),
        (
            """
def log_p_key(y):
    return torch.distributions.Normal(0., 1.).log_prob(y).sum()
""",
            "images too",
        ),
    ],
    "walk": [
        (
            """
def walk(a, b, n):
    return torch.stack([a + (b - a) * i / n for i in range(n)])
""",
            "end is missing",
        ),
        (
            """
def walk(a, b, n):
    return torch.stack([b + (a - b) * i / (n - 1) for i in range(n)])
""",
            "backwards",
        ),
    ],
}
