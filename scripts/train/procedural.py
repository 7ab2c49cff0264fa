"""Seeded synthetic images: textures and lit parts, some with flaws.

Half of what a station sees is not like any photograph collection: brushed metal, fabric, paper, moulded parts on a belt. These
images cost nothing, carry no licence, and put edges, threads, grids and specks of every size in front of the teachers.

`image(seed)` gives the same u8 [256,256,3] on every run of the same numpy and scipy.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy import ndimage

SIZE = 256
Field = np.ndarray  # f32 [SIZE, SIZE]


def image(seed: int) -> np.ndarray:
    """One image, u8 [SIZE, SIZE, 3]."""
    rng = np.random.default_rng(seed)
    picture = part(rng) if rng.random() < 0.5 else coloured(rng, texture(rng))
    for _ in range(rng.integers(0, 4)):
        picture = flaw(rng, picture)
    if rng.random() < 0.5:
        picture = ndimage.gaussian_filter(picture, (*(rng.uniform(0.3, 1.2),) * 2, 0))
    picture += rng.normal(0, rng.uniform(0, 0.02), picture.shape)
    if rng.random() < 0.3:  # many stations use a grey camera
        picture = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def unit(field: Field) -> Field:
    """Scaled to 0..1."""
    low, high = field.min(), field.max()
    return ((field - low) / max(high - low, 1e-6)).astype(np.float32)


def grid() -> tuple[Field, Field]:
    """Pixel coordinates y, x in -1..1."""
    axis = np.linspace(-1, 1, SIZE, dtype=np.float32)
    return np.meshgrid(axis, axis, indexing="ij")


def turned(rng: Generator) -> tuple[Field, Field]:
    """Coordinates turned by a random angle (a multiple of 90 degrees one time in three)."""
    y, x = grid()
    angle = rng.integers(4) * np.pi / 2 if rng.random() < 0.33 else rng.uniform(0, 2 * np.pi)
    return y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)


def power_noise(rng: Generator, slope: float, stretch: float = 1.0) -> Field:
    """Gaussian noise with a 1/f^slope spectrum, stretched along x (cast, ground and brushed surfaces)."""
    fy, fx = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :]
    frequency = np.sqrt(fy**2 + (fx * stretch) ** 2)
    frequency[0, 0] = 1
    spectrum = (rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)) / frequency**slope
    spectrum[0, 0] = 0
    return unit(np.fft.irfft2(spectrum, (SIZE, SIZE)))


def stripes(rng: Generator) -> Field:
    """Lines or rounded ribs, straight or wavy (threads, mouldings, grooves)."""
    u, v = turned(rng)
    wave = rng.uniform(0, 0.1) * np.sin(rng.uniform(2, 12) * u)
    ribs = np.sin(rng.uniform(6, 120) * (v + wave) + rng.uniform(0, 6.3))
    return unit(np.tanh(ribs * rng.uniform(0.5, 6)))


def weave(rng: Generator) -> Field:
    """Two thread systems, over and under."""
    u, v = turned(rng)
    f = rng.uniform(12, 90)
    g = f * rng.uniform(0.7, 1.4)
    over = np.sign(np.sin(f * u / 2) * np.sin(g * v / 2))
    return unit(np.where(over > 0, np.abs(np.sin(f * u)), np.abs(np.sin(g * v))) + 0.3 * power_noise(rng, 0.5))


def cells(rng: Generator) -> Field:
    """Voronoi cells: grains, foam, gravel, leather; shaded by distance to the border or flat."""
    count = int(rng.integers(8, 600))
    points = rng.integers(0, SIZE, (count, 2))
    seeds = np.ones((SIZE, SIZE), bool)
    seeds[points[:, 0], points[:, 1]] = False
    distance, (iy, ix) = ndimage.distance_transform_edt(seeds, return_indices=True)
    tone = rng.random((SIZE, SIZE)).astype(np.float32)[iy, ix]
    return unit(rng.uniform(0, 1) * tone - rng.uniform(0.2, 1) * distance / distance.max())


def specks(rng: Generator) -> Field:
    """Blurred points of one size: paint, pores, print."""
    points = (rng.random((SIZE, SIZE)) < 10 ** rng.uniform(-3.5, -1.2)).astype(np.float32)
    blurred = ndimage.gaussian_filter(points, rng.uniform(0.6, 4))
    return unit(np.minimum(blurred, np.quantile(blurred, 0.999) + 1e-6))


def tiles(rng: Generator) -> Field:
    """A lattice of holes, studs or tiles."""
    u, v = turned(rng)
    n, width = rng.uniform(3, 25), rng.uniform(0.15, 0.45)
    a, b = (u * n) % 1 - 0.5, (v * n * rng.uniform(0.6, 1.6)) % 1 - 0.5
    shape = np.hypot(a, b) if rng.random() < 0.5 else np.maximum(np.abs(a), np.abs(b))
    return unit(np.clip((shape - width) * rng.uniform(4, 30), -1, 1))


def texture(rng: Generator) -> Field:
    """One or two of the above, mixed."""
    kinds = (
        lambda: power_noise(rng, rng.uniform(0.2, 2.2)),
        lambda: power_noise(rng, rng.uniform(0.4, 1.4), 10 ** rng.uniform(0.5, 2)),
        lambda: stripes(rng),
        lambda: weave(rng),
        lambda: cells(rng),
        lambda: specks(rng),
        lambda: tiles(rng),
    )
    first = kinds[rng.integers(len(kinds))]()
    if rng.random() < 0.2:
        first = np.rot90(first)
    second = kinds[rng.integers(len(kinds))]()
    mix = rng.uniform(0, 0.5)
    return unit((1 - mix) * first + mix * second)


def coloured(rng: Generator, field: Field) -> np.ndarray:
    """The field between two random colours, f32 [SIZE, SIZE, 3]; near-grey more often than not."""
    colours = rng.random((2, 3))
    grey = colours.mean(1, keepdims=True)
    colours = grey + (colours - grey) * rng.uniform(0, 1) ** 2
    contrast = rng.uniform(0.1, 1)
    middle = colours.mean(0)
    dark, light = middle + (colours - middle) * contrast
    return (dark + (light - dark) * field[..., None]).astype(np.float32)


def outline(rng: Generator) -> Field:
    """Signed distance (negative inside, in half image widths) to a part's outline."""
    u, v = turned(rng)
    u, v = u - rng.uniform(-0.25, 0.25), v - rng.uniform(-0.25, 0.25)
    size = rng.uniform(0.25, 0.8)
    radius, angle = np.hypot(u, v), np.arctan2(u, v)
    kind = rng.integers(6)
    if kind == 0:  # disc
        return radius - size
    if kind == 1:  # rounded box
        a, corner = rng.uniform(0.3, 1), rng.uniform(0, 0.15)
        qy, qx = np.abs(u) - size * a + corner, np.abs(v) - size + corner
        return np.hypot(np.maximum(qy, 0), np.maximum(qx, 0)) + np.minimum(np.maximum(qy, qx), 0) - corner
    if kind == 2:  # ring
        return np.abs(radius - size) - size * rng.uniform(0.1, 0.5)
    if kind == 3:  # gear or star nut
        return radius - size * (1 + rng.uniform(0.05, 0.25) * np.tanh(3 * np.sin(rng.integers(3, 24) * angle)))
    if kind == 4:  # polygon: nut, plate
        n = int(rng.integers(3, 9))
        sector = 2 * np.pi / n
        return radius * np.cos((angle % sector) - sector / 2) - size * np.cos(sector / 2)
    # shaft with a thread and a head: screw, bolt
    thread = rng.uniform(0.005, 0.04) * np.sin(rng.uniform(30, 130) * v + 0.5 * np.sign(u))
    shaft = np.maximum(np.abs(u) - size * 0.2 - thread, np.abs(v) - size)
    head = np.maximum(np.abs(u) - size * rng.uniform(0.3, 0.5), np.abs(v + size) - size * 0.2)
    return np.minimum(shaft, head)


def part(rng: Generator) -> np.ndarray:
    """One to three lit parts, holes in them, on a background; shading from a rounded or bevelled rim."""
    picture = coloured(rng, power_noise(rng, 1.5) if rng.random() < 0.6 else texture(rng))
    for _ in range(rng.integers(1, 4)):
        distance = outline(rng)
        if rng.random() < 0.4:
            distance = np.maximum(distance, -outline(rng) - rng.uniform(0, 0.3))
        height = np.sqrt(np.clip(-distance, 0, rng.uniform(0.03, 0.6)))
        gy, gx = np.gradient(ndimage.gaussian_filter(height, 1.0))
        angle = rng.uniform(0, 2 * np.pi)
        shade = 0.75 + (gy * np.sin(angle) + gx * np.cos(angle)) * rng.uniform(2, 15)
        surface = coloured(rng, texture(rng)) * np.clip(shade, 0.1, 1.6)[..., None]
        inside = np.clip(0.5 - distance * SIZE / 2, 0, 1)[..., None]
        shadow = ndimage.gaussian_filter(inside[..., 0], rng.uniform(2, 12))[..., None]
        picture = picture * (1 - rng.uniform(0, 0.5) * shadow)
        picture = picture * (1 - inside) + surface * inside
    return picture.astype(np.float32)


def flaw(rng: Generator, picture: np.ndarray) -> np.ndarray:
    """A scratch, a spot, a stain or a displaced patch."""
    u, v = turned(rng)
    u, v = u - rng.uniform(-0.8, 0.8), v - rng.uniform(-0.8, 0.8)
    kind = rng.integers(4)
    if kind == 3:
        h, w = rng.integers(6, 60, 2)
        y, x, sy, sx = (int(rng.integers(0, SIZE - n)) for n in (h, w, h, w))
        changed = picture.copy()
        changed[y : y + h, x : x + w] = picture[sy : sy + h, sx : sx + w]
        return changed
    if kind == 0:
        bend = rng.uniform(-0.5, 0.5) * v * v
        mask = (np.abs(u - bend) < rng.uniform(0.003, 0.02)) & (np.abs(v) < rng.uniform(0.05, 0.6))
    elif kind == 1:
        mask = np.hypot(u, v) < rng.uniform(0.008, 0.06)
    else:
        mask = np.hypot(u, v) + 0.2 * (power_noise(rng, 1.6) - 0.5) < rng.uniform(0.05, 0.25)
    alpha = ndimage.gaussian_filter(mask.astype(np.float32), rng.uniform(0.4, 1.5))[..., None]
    return (picture * (1 - alpha) + rng.random(3) * alpha).astype(np.float32)
