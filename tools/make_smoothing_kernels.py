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

Legend
------
B       rows of BLOCK steps; row r of step i stands at r * BLOCK + i: x, P (upper triangle, row by row), f0, f1, q00,
        q01, q11 (see dronetrack.kernels.motion), then G (row by row), C (as P), F x; or the next step's x and P
u, g    local up, and the noise turned to it
t, n    F P, Q
l, r    L of F P F' + Q = L D L' (unit lower triangle), one over D
s       column of G' on its way
a       I - G F
b, c    (I - G F) P, G Q or G (Q + next P)
y       next x - F x
"""

from dronetrack.kernels import kernel

BLOCK = 32
X, P, STEP, G, C, AHEAD, N_ROWS = 0, 6, 27, 32, 68, 89, 95
NEXT = 32
INVERSE_A2 = 1.0 / 6378137.0**2
INVERSE_B2 = 1.0 / 6356752.314245179**2
'''

BLOCK = 32
X, P, STEP, G, C, AHEAD, NEXT = 0, 6, 27, 32, 68, 89, 32
LOWER = [(i, j) for i in range(6) for j in range(i + 1)]
UPPER = [(j, i) for i in range(6) for j in range(i, 6)]


def at(row: int) -> str:
    return f"B[{row * BLOCK} + i]" if row else "B[i]"


def low(name: str, i: int, j: int) -> str:
    """Element of a symmetric matrix of which the lower triangle has names."""
    return f"{name}{max(i, j)}{min(i, j)}"


def dot(*pairs: tuple[str, str]) -> str:
    return " + ".join(f"{one} * {other}" for one, other in pairs)


def less(first: str, *pairs: tuple[str, str]) -> str:
    return first + "".join(f" - {one} * {other}" for one, other in pairs)


def load() -> list[str]:
    lines = [f"x{i} = {at(X + i)}" for i in range(6)]
    lines += [f"p{i}{j} = {at(P + row)}" for row, (i, j) in enumerate(UPPER)]
    return lines + [f"{name} = {at(STEP + row)}" for row, name in enumerate(("f0", "f1", "q00", "q01", "q11"))]


def noise() -> list[str]:
    lines = ["u0 = x0 * INVERSE_A2", "u1 = x1 * INVERSE_A2", "u2 = x2 * INVERSE_B2"]
    lines.append("g = (q_vertical - q_horizontal) / (u0 * u0 + u1 * u1 + u2 * u2)")
    for i in range(3):
        for j in range(i + 1):
            lines.append(f"q = g * u{i} * u{j}" + (" + q_horizontal" if i == j else ""))
            for row, column, power in ((i, j, "q11"), (i + 3, j, "q01"), (j + 3, i, "q01"), (i + 3, j + 3, "q00")):
                line = f"n{row}{column} = q * {power}"
                if line not in lines:
                    lines.append(line)
    return lines


def predict() -> list[str]:
    """F P, then the lower triangle of F P F' + Q."""
    lines = []
    for j in range(6):
        for i in range(3):
            lines.append(f"t{i}{j} = {low('p', i, j)} + f1 * {low('p', i + 3, j)}")
            lines.append(f"t{i + 3}{j} = f0 * {low('p', i + 3, j)}")
    for i, j in LOWER:
        moved = f"t{i}{j} + f1 * t{i}{j + 3}" if j < 3 else f"f0 * t{i}{j}"
        lines.append(f"l{i}{j} = {moved} + n{i}{j}")
    return lines


def factor() -> list[str]:
    """L D L' in place: column by column."""
    lines = []
    for j in range(6):
        lines += [f"w{k} = l{j}{k} * d{k}" for k in range(j)]
        lines.append(f"d{j} = " + less(f"l{j}{j}", *((f"l{j}{k}", f"w{k}") for k in range(j))))
        lines.append(f"r{j} = 1.0 / d{j}")
        below = {i: less(f"l{i}{j}", *((f"l{i}{k}", f"w{k}") for k in range(j))) for i in range(j + 1, 6)}
        lines += [f"l{i}{j} = ({rest}) * r{j}" for i, rest in below.items()]
    return lines


def solve() -> list[str]:
    """G' = (F P F' + Q)^-1 F P, column by column."""
    lines = []
    for a in range(6):
        forward = {i: [(f"l{i}{k}", f"s{k}") for k in range(i)] for i in range(6)}
        lines += [f"s{i} = {less(f't{i}{a}', *pairs)}" for i, pairs in forward.items()]
        backward = {i: [(f"l{k}{i}", f"g{a}{k}") for k in range(i + 1, 6)] for i in reversed(range(6))}
        lines += [f"g{a}{i} = {less(f's{i} * r{i}', *pairs)}" for i, pairs in backward.items()]
    return lines


def joseph(rest: str, to: int) -> list[str]:
    """(I - G F) P (I - G F)' + G S G', S named by `rest`: a sum of squares, so rounding cannot take it below zero."""
    lines = []
    for a in range(6):
        for b in range(3):
            one = "1.0 - " if a == b else "-"
            lines.append(f"a{a}{b} = {one}g{a}{b}")
            one = "1.0 - " if a == b + 3 else "-"
            lines.append(f"a{a}{b + 3} = {one}f1 * g{a}{b} - f0 * g{a}{b + 3}")
    for a in range(6):
        for b in range(6):
            lines.append(f"b{b} = " + dot(*((f"a{a}{k}", low("p", k, b)) for k in range(6))))
            lines.append(f"c{b} = " + dot(*((f"g{a}{k}", low(rest, k, b)) for k in range(6))))
        for b in range(a + 1):
            lines.append("e = " + dot(*((f"b{k}", f"a{b}{k}") for k in range(6))))
            lines.append(f"{at(to + UPPER.index((a, b)))} = e + " + dot(*((f"c{k}", f"g{b}{k}") for k in range(6))))
    return lines


def gains() -> list[str]:
    """Leave G, C and F x."""
    lines = [f"{at(G + 6 * a + b)} = g{a}{b}" for a in range(6) for b in range(6)]
    lines += [f"{at(AHEAD + i)} = x{i} + f1 * x{i + 3}" for i in range(3)]
    lines += [f"{at(AHEAD + i + 3)} = f0 * x{i + 3}" for i in range(3)]
    return lines + joseph("n", C)


def back() -> list[str]:
    """Replace the next step's smoothed x and P by this step's."""
    lines = [f"y{i} = {at(NEXT + i)} - x{i} - f1 * x{i + 3}" for i in range(3)]
    lines += [f"y{i} = {at(NEXT + i)} - f0 * x{i}" for i in range(3, 6)]
    for a in range(6):
        lines.append(f"{at(NEXT + a)} = x{a} + ({dot(*((f'g{a}{b}', f'y{b}') for b in range(6)))})")
    lines += [f"n{i}{j} = n{i}{j} + {at(NEXT + 6 + row)}" for row, (i, j) in enumerate(UPPER)]
    return lines + joseph("n", NEXT + 6)


def kernel(name: str, says: str, rest: list[str]) -> str:
    lines = ["@kernel", f"def {name}(B, q_horizontal, q_vertical):", f'    """{says}"""', "    for i in range(BLOCK):"]
    body = [*load(), *noise(), *predict(), *factor(), *solve(), *rest]
    return "\n".join([*lines, *("        " + line for line in body)]) + "\n"


def source() -> str:
    """Return the text of the generated room."""
    return "\n\n".join(
        [
            HEAD,
            kernel("gains6_one", "Fill G, C and F x of a block of steps.", gains()),
            kernel("back6_one", "Take the next step's smoothed x and P back over a step.", back()),
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(source())
