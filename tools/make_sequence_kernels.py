"""Write dronetrack/kernels/generated_sequence.py: one step of one sequence of positions, one statement per number.

python tools/make_sequence_kernels.py

A sequence cannot start its next step before the last is known: what costs time is the longest chain of operations
that wait for each other. Written out, the state stays in the processor from step to step, and the three divisions of
a position in three axes wait for nobody: the elimination is done without dividing (Bareiss 1968,
doi:10.1090/S0025-5718-1968-0226829-0), so that each pivot is known before any is inverted.
"""

import pathlib

HERE = pathlib.Path(__file__).parent
TARGET = HERE.parent / "dronetrack" / "kernels" / "generated_sequence.py"

HEAD = '''"""One step of one sequence of positions, written out. Written by tools/make_sequence_kernels.py.

Legend
------
state (27)  x0.. x5 (position, velocity), then p00, p01.. (upper triangle of the covariance, row by row)
noise (18)  what the step adds: a.. to position, b.. between position and velocity, c.. to velocity
r (6)       noise of the position, upper triangle row by row
f0, f1      answer of the velocity and of the position to it after the step
s..         innovation covariance; e1, c, h: its cofactors along the last row, the sign of c turned; v.: variances
y.., d.     rows of the covariance and innovation after the same elimination
i., k..     inverse variance of each eliminated row, gain
T           lane 0 of a block of kernels.bank: number k of the state at 32 k
"""

from dronetrack.kernels import kernel
from dronetrack.kernels.generated_bank import INVERSE_A2, INVERSE_B2

# A step costs at most so many times the rounding of a number. det S / det R bounds, by its largest factor, how much of
# a variance a position takes away: what is subtracted cancels no further.
MOST_LEARNT = 1e4
# 1 / det of the correlations of S: the elimination cancels no further.
MOST_CORRELATED = 1e2
# A product of five variances must stay a number.
LARGEST = 1e280
'''

SIZE, BLOCK = 6, 32
PAIRS = [(i, j) for i in range(SIZE) for j in range(i, SIZE)]
AXES = [(a, b) for a in range(3) for b in range(a, 3)]
STATE = [f"x{i}" for i in range(SIZE)] + [f"p{i}{j}" for i, j in PAIRS]
NOISE = [f"{block}{a}{b}" for block in "abc" for a, b in AXES]


def p(i: int, j: int) -> str:
    return f"p{min(i, j)}{max(i, j)}"


def sym(name: str, a: int, b: int) -> str:
    return f"{name}{min(a, b)}{max(a, b)}"


def function(name: str, arguments: str, says: list[str], body: list[str]) -> str:
    doc = [f'"""{says[0]}"""'] if len(says) == 1 else [f'"""{says[0]}', "", *says[1:], '"""']
    lines = [
        "",
        "",
        "@kernel(merged=True)",
        f"def {name}({arguments}):",
        *("    " + one if one else "" for one in doc + body),
    ]
    return "\n".join(lines)


def load() -> str:
    body = ["return (", *(f"    T[{row * BLOCK}]," for row in range(len(STATE))), ")"]
    return function("load6_one", "T", ["Take a state out of a block."], body)


def store() -> str:
    body = [*unpacked(STATE, "state"), *(f"T[{row * BLOCK}] = {name}" for row, name in enumerate(STATE))]
    return function("store6_one", "T, state", ["Put a state into a block."], body)


def write() -> str:
    body = [*unpacked(STATE, "state"), *(f"x[{i}] = x{i}" for i in range(SIZE))]
    body += [f"P[{i}, {j}] = {p(i, j)}" for i in range(SIZE) for j in range(SIZE)]
    return function("write6_one", "state, x, P", ["Write a state as rows: x (6,), P (6, 6)."], body)


def gather() -> str:
    """Noise of a step, turned to the local up of where the step begins, as predict6_one gathers it.

    There is no branch for noise that is the same all ways: with the step it is one straight line, so that products and
    sums fuse alike wherever it is taken in, and many calls give the bits of one.
    """
    body = [
        "u0, u1, u2 = state[0] * INVERSE_A2, state[1] * INVERSE_A2, state[2] * INVERSE_B2",
        "g = (q_vertical - q_horizontal) / (u0 * u0 + u1 * u1 + u2 * u2)",
    ]
    body += [f"w{a}{b} = g * u{a} * u{b}" + (" + q_horizontal" if a == b else "") for a, b in AXES]
    body += ["return ("]
    body += [f"    w{a}{b} * {q}," for q in ("q11", "q01", "q00") for a, b in AXES]
    body += [")"]
    return function(
        "gather6_one", "state, q_horizontal, q_vertical, q00, q01, q11", ["Return the noise of a step."], body
    )


def step() -> str:
    body = [*unpacked(STATE, "state"), *unpacked(NOISE, "noise"), *unpacked([f"r{a}{b}" for a, b in AXES], "r")]
    body += predict()
    body += eliminate()
    body += correct()
    return function(
        "step6_one",
        "state, f0, f1, noise, r, det_r, z0, z1, z2",
        [
            "Predict, and fuse a position; return whether that is exact enough, its NIS and the state after it.",
            "It is not if a position tells far more than was known, axes are nearly one or a number is missing; then",
            "the rest is of no use.",
        ],
        body,
    )


def predict() -> list[str]:
    """F P F' + Q in blocks: position A, between B, velocity C."""
    cells = [(a, b) for a in range(3) for b in range(3)]
    lines = [f"t{a}{b} = {p(a, b + 3)} + f1 * {p(a + 3, b + 3)}" for a, b in cells]
    lines += [f"p{a}{b} = (p{a}{b} + a{a}{b}) + f1 * ({p(b, a + 3)} + t{a}{b})" for a, b in AXES]
    lines += [f"{p(a, b + 3)} = {sym('b', a, b)} + f0 * t{a}{b}" for a, b in cells]
    lines += ["f00 = f0 * f0"]
    lines += [f"{p(a + 3, b + 3)} = c{a}{b} + f00 * {p(a + 3, b + 3)}" for a, b in AXES]
    lines += [f"x{a} = x{a} + f1 * x{a + 3}" for a in range(3)]
    lines += [f"x{a + 3} = f0 * x{a + 3}" for a in range(3)]
    return lines


def eliminate() -> list[str]:
    """Rows of [S | P | z - x] made triangular in S: the measured numbers become three that do not know each other."""
    lines = [f"s{a}{b} = p{a}{b} + r{a}{b}" for a, b in AXES]
    lines += [
        "e1 = s00 * s11 - s01 * s01",
        "c = s00 * s12 - s01 * s02",
        "h = s01 * s12 - s02 * s11",
        "det = e1 * s22 - c * s12 + h * s02",
        "v1 = s00 * e1",
        "v2 = e1 * det",
        "i0 = 1.0 / s00",
        "i1 = 1.0 / v1",
        "i2 = 1.0 / v2",
        "d0, d1, d2 = z0 - x0, z1 - x1, z2 - x2",
    ]
    columns = range(SIZE)
    lines += [f"y0{j} = {p(0, j)}" for j in columns]
    lines += [f"y1{j} = s00 * {p(1, j)} - s01 * {p(0, j)}" for j in columns]
    lines += [f"y2{j} = e1 * {p(2, j)} - c * {p(1, j)} + h * {p(0, j)}" for j in columns]
    lines += ["d2 = e1 * d2 - c * d1 + h * d0", "d1 = s00 * d1 - s01 * d0"]
    return lines


def correct() -> list[str]:
    """Each of the three corrects state and covariance on its own; the last to be known comes last."""
    lines = ["nis = d0 * d0 * i0 + d1 * d1 * i1 + d2 * d2 * i2"]
    for axis in range(3):
        lines += [f"k{j} = y{axis}{j} * i{axis}" for j in range(SIZE)]
        lines += [f"x{j} = x{j} + k{j} * d{axis}" for j in range(SIZE)]
        lines += [f"p{i}{j} = p{i}{j} - k{i} * y{axis}{j}" for i, j in PAIRS]
    lines += [
        "exact = (",
        "    (det <= MOST_LEARNT * det_r)",
        "    & (s00 * s11 * s22 <= MOST_CORRELATED * det)",
        "    & (v2 < LARGEST)",
        "    & (v2 > 1.0 / LARGEST)",
        "    & (nis < LARGEST)",
        ")",
        "return exact, nis, (",
        *listed(STATE),
        ")  # fmt: skip",
    ]
    return lines


def listed(names: list[str]) -> list[str]:
    """State, or noise, in rows that fit."""
    return [f"    {', '.join(names[at : at + 6])}," for at in range(0, len(names), 6)]


def unpacked(names: list[str], source: str) -> list[str]:
    return ["(", *listed(names), f") = {source}  # fmt: skip"]


def source() -> str:
    """Return the text of the generated room."""
    return HEAD + "\n".join(make() for make in (load, store, write, gather, step)) + "\n"


if __name__ == "__main__":
    TARGET.write_text(source())
