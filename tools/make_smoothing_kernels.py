"""Write dronetrack/kernels/generated_smoothing.py: a block of smoother steps, one statement per number.

python tools/make_smoothing_kernels.py

Targets of a bank go back side by side; steps of one sequence too, as far as the gain, which depends on the filtered
values alone. A loop over small matrices hides that from the compiler; straight-line code shows it, and runs about five
times as fast.
"""

import pathlib

HERE = pathlib.Path(__file__).parent
TARGET = HERE.parent / "dronetrack" / "kernels" / "generated_smoothing.py"

HEAD = '''"""A block of smoother steps, one statement per number. Written by tools/make_smoothing_kernels.py.

The noise of a step is six numbers, each independent of the others, on axes one of which is the local up. Of what comes
after it they are taken away one by one: ``s`` becomes what it was before that noise came, a weighted sum of all six
numbers, weights `a`, and of an error that nobody knows, variance `g`. Each step is a sum of squares, and no more than
one row and column of the covariance change.

Legend
------
B       rows of BLOCK steps; row r of step i stands at r * BLOCK + i: x; f0, phi, beta, qp, qv from STEP on; SAFE; P
        (upper triangle, row by row); then the next x beside F x, and its P; or G (row by row), F x, and C as P.
        Six rows before P and before C are room for what is turned with them
W       four rows: a vector w and 2 / w'w, of the reflection that takes the local up to the third axis and back
zp, zv  what the noise makes of position p and velocity v: zp = p + phi v + noise qp, zv = f0 v + noise qv; the next
        position is zp + beta zv, the next velocity zv
SAFE    above zero where no variance is so small beside the same before others were known that rounding shows
x, k, r, c   P of v (then its inverse); of v with p; p = r v + what v does not tell of it, variance c (then its inverse)
h, d, y, w   v by zp: L^-1 (r + phi) with L D L' = c + qp, D^-1 h, y = (c + qp)^-1 (r + phi), w = x^-1 + h' D^-1 h
m       inverse of what is unknown of one number when all others are known
s, e    covariance and mean of (zp, zv) that becomes that of (p, v)
"""

from dronetrack.kernels import kernel

BLOCK = 32
X, STEP, SAFE, P, NEXT = 0, 6, 11, 18, 39
G, AHEAD, C, N_ROWS = 39, 75, 87, 108
TINY = 1e-6
'''

BLOCK = 32
STEP, SAFE, P, NEXT = 6, 11, 18, 39
G, C = 39, 87
UPPER = [(j, i) for i in range(6) for j in range(i, 6)]  # as (row, column) of the lower triangle
THREE = range(3)
LOWER = [(i, j) for i in THREE for j in range(i + 1)]


def at(row: int) -> str:
    return f"B[{row * BLOCK} + i]" if row else "B[i]"


def low(name: str, i: int, j: int) -> str:
    """Element of a symmetric matrix of which the lower triangle has names."""
    return f"{name}{max(i, j)}{min(i, j)}"


def dot(*pairs: tuple[str, str]) -> str:
    return " + ".join(other if one == "1.0" else f"{one} * {other}" for one, other in pairs)


def less(first: str, *pairs: tuple[str, str]) -> str:
    return first + "".join(f" - {one} * {other}" for one, other in pairs)


def load() -> list[str]:
    lines = [f"f0, phi = {at(STEP)}, {at(STEP + 1)}", f"qp, qv = {at(STEP + 3)}, {at(STEP + 4)}"]
    for row, (i, j) in enumerate(UPPER):
        block = f"c{i}{j}" if i < 3 else f"x{i - 3}{j - 3}" if j > 2 else f"k{j}{i - 3}"
        lines.append(f"{block} = {at(P + row)}")
    for group in ("p", "v"):
        lines += [f"q{group}{axis} = q{group} * q_horizontal" for axis in (0, 1)] + [
            f"q{group}2 = q{group} * q_vertical"
        ]
    return lines


def factor(of: str, lower: str, over: str, whole: str = "") -> list[str]:
    """``of = L D L'``: L below its ones, one over D; `whole` names what variances were before others were known."""
    lines = []
    for j in THREE:
        before = [(f"{lower}{j}{k}", f"u{j}{k}") for k in range(j)]
        lines.append(f"{over}{j} = {less(f'{of}{j}{j}', *before)}")
        below = {i: [(f"{lower}{i}{k}", f"u{j}{k}") for k in range(j)] for i in range(j + 1, 3)}
        lines += [f"u{i}{j} = {less(f'{of}{i}{j}', *pairs)}" for i, pairs in below.items()]
        if whole:
            lines.append(f"safe = min(safe, {over}{j} - TINY * {whole}{j}{j})")
        lines.append(f"{over}{j} = 1.0 / {over}{j}")
        lines += [f"{lower}{i}{j} = u{i}{j} * {over}{j}" for i in range(j + 1, 3)]
    return lines


def invert(to: str, lower: str, over: str) -> list[str]:
    """``to = (L D L')^-1``."""
    a, b, c = f"{lower}10", f"{lower}20", f"{lower}21"
    return [
        f"u = {c} * {a} - {b}",
        f"{to}22 = {over}2",
        f"{to}21 = -{c} * {over}2",
        f"{to}20 = u * {over}2",
        f"{to}11 = {over}1 - {c} * {to}21",
        f"t = {a} * {over}1",
        f"{to}10 = -t - {c} * {to}20",
        f"{to}00 = {over}0 + {a} * t + u * {to}20",
    ]


def position_by_velocity() -> list[str]:
    lines = ["safe = x00", *factor("x", "l", "o", whole="x"), *(f"full{i}{i} = c{i}{i}" for i in THREE)]
    for i in THREE:
        lines += [f"k{i}{j} = " + less(f"k{i}{j}", *((f"l{j}{k}", f"k{i}{k}") for k in range(j))) for j in range(1, 3)]
        lines += [f"r{i}{j} = k{i}{j} * o{j}" for j in THREE]
        lines += [f"c{i}{j} = " + less(f"c{i}{j}", *((f"k{j}{k}", f"r{i}{k}") for k in THREE)) for j in range(i + 1)]
        lines.append(f"r{i}1 = r{i}1 - l21 * r{i}2")
        lines.append(f"r{i}0 = r{i}0 - l10 * r{i}1 - l20 * r{i}2")
    return lines


def velocity_by_position() -> list[str]:
    lines = [f"s{i}{i} = c{i}{i} + qp{i}" for i in THREE] + ["s10, s20, s21 = c10, c20, c21"]
    lines += factor("s", "b", "t")
    lines += [f"f{i}{i} = r{i}{i} + phi" for i in THREE]
    for i in THREE:
        for j in THREE:
            lines.append(f"h{i}{j} = " + less(ahead(i, j), *((f"b{i}{k}", f"h{k}{j}") for k in range(i))))
            lines.append(f"d{i}{j} = h{i}{j} * t{i}")
    lines += invert("w", "l", "o")
    lines += [f"w{i}{j} = w{i}{j} + " + dot(*((f"h{k}{i}", f"d{k}{j}") for k in THREE)) for i, j in LOWER]
    for i in reversed(THREE):
        lines += [f"y{i}{j} = " + less(f"d{i}{j}", *((f"b{k}{i}", f"y{k}{j}") for k in range(i + 1, 3))) for j in THREE]
    return lines


def ahead(i: int, j: int) -> str:
    """Element of r + phi."""
    return f"f{i}{i}" if i == j else f"r{i}{j}"


def weights_of_velocity() -> list[str]:
    """Weights of all numbers in each v, rows 3 to 5 of `a`: of zp, of zv up to its own, of the v after it."""
    lines = ["square = f0 * f0", *(f"all{i} = TINY * w{i}{i}" for i in (1, 2))]
    for j in THREE:
        if j:
            lines.append(f"safe = min(safe, w{j}{j} - all{j})")
        lines += [f"m = 1.0 / (qv{j} * w{j}{j} + square)", f"g{j + 3} = qv{j} * m", f"a{j + 3}{j + 3} = f0 * m"]
        lines += [f"a{j + 3}{i} = g{j + 3} * y{i}{j}" for i in THREE]
        lines += [f"a{j + 3}{k + 3} = -g{j + 3} * {low('w', k, j)}" for k in THREE if k != j]
        for k in range(j + 1, 3):
            lines += [f"y{i}{k} = y{i}{k} - a{j + 3}{i} * w{k}{j}" for i in THREE]
        lines += take_away("w", j, f"a{j + 3}", 3)
    return lines


def take_away(of: str, j: int, weight: str, shift: int) -> list[str]:
    """Let row j of precisions speak of the number with its noise: the other rows, and how they go with it."""
    lines = []
    for k in range(j + 1, 3):
        lines += [f"{of}{k}{i} = {of}{k}{i} + {weight}{k + shift} * {low(of, i, j)}" for i in range(k + 1) if i != j]
    return lines + [f"{of}{k}{j} = {weight}{j + shift} * {of}{k}{j}" for k in range(j + 1, 3)]


def weights_of_position() -> list[str]:
    """Weights of all numbers in each p, rows 0 to 2 of `a`: of zp up to its own, of the p after it, of v."""
    lines = [*factor("c", "b", "t", whole="full"), *invert("c", "b", "t")]
    lines += [f"all{i} = TINY * c{i}{i}" for i in (1, 2)]
    for j in THREE:
        if j:
            lines.append(f"safe = min(safe, c{j}{j} - all{j})")
        lines += [f"a{j}{j} = 1.0 / (qp{j} * c{j}{j} + 1.0)", f"g{j} = qp{j} * a{j}{j}", f"m = g{j} * c{j}{j}"]
        lines += [f"a{j}{k} = -g{j} * {low('c', k, j)}" for k in THREE if k != j]
        for k in THREE:
            others = [(f"a{j}{i}", ahead(i, k) if i < j else f"r{i}{k}") for i in THREE if i != j]
            own = f"m * r{j}{k}" + (f" - a{j}{j} * phi" if k == j else "")
            lines.append(f"a{j}{k + 3} = {less(own, *others)}")
        lines += take_away("c", j, f"a{j}", 0)
    return lines


def apply(j: int) -> list[str]:
    """Replace number j of the six by the one before its noise: its mean, and its row and column."""
    lines = [f"e{j} = " + dot(*((f"a{j}{k}", f"e{k}") for k in range(6)))]
    lines += [f"u{k} = " + dot(*((f"a{j}{i}", low("s", i, k)) for i in range(6))) for k in range(6)]
    lines += [f"{low('s', j, k)} = u{k}" for k in range(6) if k != j]
    return [*lines, f"s{j}{j} = g{j} + " + dot(*((f"a{j}{k}", f"u{k}") for k in range(6)))]


def back() -> list[str]:
    """Replace the next step's smoothed x (beside F x) and P by this step's (beside x)."""
    lines = [*load(), *position_by_velocity(), *velocity_by_position(), *weights_of_velocity()]
    lines.append(f"beta = {at(STEP + 2)}")
    lines += [f"e{i} = {at(NEXT + i)}" for i in range(6)] + [f"e{i} = e{i} - beta * e{i + 3}" for i in THREE]
    lines += [f"s{i}{j} = {at(NEXT + 6 + row)}" for row, (i, j) in enumerate(UPPER)]
    lines += [f"u{i}{j} = s{i + 3}{j} - beta * {low('s', i + 3, j + 3)}" for i in THREE for j in THREE]
    lines += [f"s{i}{j} = s{i}{j} - beta * s{j + 3}{i} - beta * u{i}{j}" for i, j in LOWER]
    lines += [f"s{i + 3}{j} = u{i}{j}" for i in THREE for j in THREE]
    lines += [line for j in (5, 4, 3) for line in apply(j)]
    lines += weights_of_position()
    lines += [line for j in (2, 1, 0) for line in apply(j)]
    lines += [f"{at(NEXT + i)} = e{i}" for i in range(6)]
    lines += [f"{at(NEXT + 6 + row)} = s{i}{j}" for row, (i, j) in enumerate(UPPER)]
    return [*lines, f"{at(SAFE)} = safe"]


def gains() -> list[str]:
    """Leave G and C: what the weights make of (zp, zv), and of the variances that they leave, one after another."""
    lines = [*load(), *position_by_velocity(), *velocity_by_position(), *weights_of_velocity(), *weights_of_position()]
    rows = {j: {j: "1.0"} for j in range(6)}
    spread: dict[tuple[int, int], str] = {}
    for j in (5, 4, 3, 2, 1, 0):
        new = {}
        for column in range(6):
            pairs = [(rows[k][column], f"a{j}{k}") for k in range(6) if column in rows[k]]
            lines.append(f"v{j}{column} = {dot(*pairs)}")
            new[column] = f"v{j}{column}"
        rows[j] = new
        lines += _spread(j, spread)
    lines.append(f"beta = {at(STEP + 2)}")
    for j in range(6):
        lines += [f"{at(G + 6 * j + column)} = v{j}{column}" for column in THREE]
        lines += [f"{at(G + 6 * j + column + 3)} = v{j}{column + 3} - beta * v{j}{column}" for column in THREE]
    lines += [f"{at(C + row)} = s{i}{j}" for row, (i, j) in enumerate(UPPER)]
    return [*lines, f"{at(SAFE)} = safe"]


def _spread(j: int, known: dict[tuple[int, int], str]) -> list[str]:
    """`apply` to covariances, of which those not in `known` are zero."""
    lines, new = [], {}
    for k in range(6):
        pairs = [(f"a{j}{i}", known[max(i, k), min(i, k)]) for i in range(6) if (max(i, k), min(i, k)) in known]
        if pairs:
            lines.append(f"u{k} = {dot(*pairs)}")
            new[k] = f"u{k}"
    for k in new:
        known[max(j, k), min(j, k)] = low("s", j, k)
        lines.append(f"{low('s', j, k)} = u{k}")
    known[j, j] = f"s{j}{j}"
    return [*lines, f"s{j}{j} = " + " + ".join([f"g{j}", *(f"a{j}{k} * {name}" for k, name in new.items())])]


def reflect(numbers: list[str]) -> list[str]:
    """A vector of three numbers, in place."""
    lines = [f"t = scale * ({dot(*((f'w{k}', one) for k, one in enumerate(numbers)))})"]
    return lines + [f"{one} = {one} - w{k} * t" for k, one in enumerate(numbers)]


def turn() -> list[str]:
    """Six numbers, the first rows of B, and the covariance after them, upper triangle row by row: both its sides."""
    place = {f"e{j}": at(j) for j in range(6)} | {f"s{i}{j}": at(6 + row) for row, (i, j) in enumerate(UPPER)}
    lines = [f"{name} = {where}" for name, where in place.items()]
    lines += [line for first in (0, 3) for line in reflect([f"e{first + j}" for j in THREE])]
    lines += [line for i in THREE for line in reflect([f"s{i + 3}{j}" for j in THREE])]
    lines += [line for j in THREE for line in reflect([f"s{i + 3}{j}" for i in THREE])]
    for to in (0, 3):
        lines += [f"u{i} = scale * ({dot(*((f'w{j}', low('s', i + to, j + to)) for j in THREE))})" for i in THREE]
        lines.append(f"t = 0.5 * scale * ({dot(*((f'w{j}', f'u{j}') for j in THREE))})")
        lines += [f"u{i} = u{i} - t * w{i}" for i in THREE]
        lines += [f"s{i + to}{j + to} = s{i + to}{j + to} - w{i} * u{j} - u{i} * w{j}" for i, j in LOWER]
    return [*lines, *(f"{where} = {name}" for name, where in place.items())]


def kernel(name: str, says: str, takes: str, body: list[str]) -> str:
    lines = ["@kernel", f"def {name}(B, {takes}):", f'    """{says}"""', "    for i in range(BLOCK):"]
    return "\n".join([*lines, *("        " + line for line in body)]) + "\n"


def source() -> str:
    """Return the text of the generated room."""
    load_w = [f"w{k} = W[{k * BLOCK} + i]" if k else "w0 = W[i]" for k in THREE] + [f"scale = W[{3 * BLOCK} + i]"]
    says = "Turn means and covariances, the first 27 rows of B: the local up is the third axis then, or is no longer."
    return "\n\n".join(
        [
            HEAD,
            kernel("gains6_one", "Fill G and C of a block of steps, and SAFE.", "q_horizontal, q_vertical", gains()),
            kernel(
                "back6_one", "Take what is next back over a step, and fill SAFE.", "q_horizontal, q_vertical", back()
            ),
            kernel("turn6_one", says, "W", [*load_w, *turn()]),
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(source())
