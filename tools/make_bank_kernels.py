"""Write dronetrack/kernels/generated_bank.py: predict and update of a block of targets, one statement per number.

python tools/make_bank_kernels.py

A loop over small matrices hides from the compiler that 32 targets go the same way; straight-line code shows it, and
runs about four times as fast. Only the three shapes that carry the speed are written out; all else is loops.
"""

import pathlib

HERE = pathlib.Path(__file__).parent
TARGET = HERE.parent / "dronetrack" / "kernels" / "generated_bank.py"

HEAD = '''"""Predict and update a block of targets, one statement per number. Written by tools/make_bank_kernels.py.

Legend
------
T       rows of BLOCK targets: x0.. (state), then p00, p01.. (upper triangle of the covariance, row by row)
A       rows of BLOCK targets: what the measurement says; the rows are named in dronetrack.kernels.bank
h, f.., q..  time step, answer to the driven level and its integrals, and the noise that they gather
u, g, q local up, and the noise turned to it
m..     unit lower triangle that takes the correlation out of the measurement noise
s, v, y innovation variance, its inverse (0 where nothing is observed), innovation
f, k.., w..  share of a covariance row that stays, gain, P h
"""

from dronetrack.kernels import kernel

BLOCK = 32  # lanes: row r of a block starts at r * BLOCK
INVERSE_A2 = 1.0 / 6378137.0**2
INVERSE_B2 = 1.0 / 6356752.314245179**2
'''

BLOCK = 32

# Rows of A, as in dronetrack.kernels.bank.
STEP, DECAY, GATHERED, Z, WEIGHT, MIX, NOISE, NIS, DET, H, SCALAR = 0, 1, 4, 10, 13, 16, 19, 22, 23, 24, 30
LEVELS = ("00", "01", "11", "02", "12", "22")


class Writer:
    """Lines of one kernel over the lanes of a block."""

    def __init__(self, name: str, arguments: str, says: str, size: int) -> None:
        self.size = size
        self.pairs = [(i, j) for i in range(size) for j in range(i, size)]
        self.lines = ["", "", "@kernel", f"def {name}({arguments}):", f'    """{says}"""', "    for i in range(width):"]

    def put(self, text: str) -> None:
        self.lines.append("        " + text)

    def load(self) -> None:
        for row, name in enumerate(self.names()):
            self.put(f"{name} = T[{at(row)}]")

    def store(self) -> None:
        for row, name in enumerate(self.names()):
            self.put(f"T[{at(row)}] = {name}")

    def names(self) -> list[str]:
        return [f"x{i}" for i in range(self.size)] + [f"p{i}{j}" for i, j in self.pairs]

    def read(self, **rows: int) -> None:
        for name, row in rows.items():
            self.put(f"{name} = A[{at(row)}]")


def at(row: int) -> str:
    return f"{row * BLOCK} + i" if row else "i"


def p(i: int, j: int) -> str:
    return f"p{min(i, j)}{max(i, j)}"


def predict(size: int) -> list[str]:
    """P becomes F P F' + Q by adding rows and columns: what a lower level gives an upper one over the step."""
    out = Writer(
        f"predict{size}_one", "T, A, width, q_horizontal, q_vertical", "Move the block on by the steps in A.", size
    )
    out.load()
    top = size - 3  # the level that the noise drives: it decays by f0
    out.read(f0=DECAY, f1=DECAY + 1)
    moves = [(0, 3, "f1")]
    if size == 9:
        out.read(h=STEP, f2=DECAY + 2)
        # Lowest level first: each operation reads only rows that are still as they were.
        moves = [(0, 3, "h"), (0, 6, "f2"), (3, 6, "f1")]
    out.put("u0 = x0 * INVERSE_A2")
    out.put("u1 = x1 * INVERSE_A2")
    out.put("u2 = x2 * INVERSE_B2")
    out.put("g = (q_vertical - q_horizontal) / (u0 * u0 + u1 * u1 + u2 * u2)")
    for to, source, by in moves:
        for i in range(to, to + 3):
            k = i - to + source
            out.put(f"x{i} = x{i} + {by} * x{k}")
            add_row(out, i, k, by, "+")
    for i in range(top, size):
        out.put(f"x{i} = x{i} * f0")
        for j in range(size):
            out.put(f"{p(i, j)} = {p(i, j)} * f0")
        out.put(f"{p(i, i)} = {p(i, i)} * f0")
    gather_noise(out, top)
    out.store()
    return out.lines


def gather_noise(out: Writer, top: int) -> None:
    """Add the noise that each 3 x 3 block of the covariance gathers; level 0 is the driven one."""
    blocks = {
        (row, column): (top - column, top - row) for row in range(0, out.size, 3) for column in range(row, out.size, 3)
    }
    for low, high in blocks.values():
        level = f"{low // 3}{high // 3}"
        out.put(f"q{level} = A[{at(GATHERED + LEVELS.index(level))}]")
    for a in range(3):
        for b in range(a, 3):
            out.put(f"q = g * u{a} * u{b}" + (" + q_horizontal" if a == b else ""))
            for (row, column), (low, high) in blocks.items():
                cells = [(row + a, column + b)] + ([(row + b, column + a)] if a != b and row != column else [])
                for i, j in cells:
                    out.put(f"{p(i, j)} = {p(i, j)} + q * q{low // 3}{high // 3}")


def add_row(out: Writer, i: int, k: int, by: str, sign: str) -> None:
    """Row and column i of P get `by` times row and column k."""
    out.put(f"t = {p(i, k)} {sign} {by} * {p(k, k)}")
    out.put(f"{p(i, i)} = {p(i, i)} {sign} {by} * ({p(i, k)} + t)")
    out.put(f"{p(i, k)} = t")
    for j in range(out.size):
        if j not in (i, k):
            out.put(f"{p(i, j)} = {p(i, j)} {sign} {by} * {p(j, k)}")


def position(size: int) -> list[str]:
    """Three numbers measured along the first three axes, after the noise's correlation is taken out.

    Along an axis the row of the measured number is scaled by noise / innovation variance instead of being subtracted
    from: nothing cancels, however much better than the prior the measurement is.
    """
    out = Writer(
        f"position{size}_one", "T, A, width", "Fuse a position: z, weights and decorrelated noise are in A.", size
    )
    out.load()
    out.read(z0=Z, z1=Z + 1, z2=Z + 2, m10=MIX, m20=MIX + 1, m21=MIX + 2)
    # The noise is M^-1 diag(r) M^-T; take state and measurement to M x, where each axis is measured on its own.
    out.put("z2 = z2 + m20 * z0 + m21 * z1")
    out.put("z1 = z1 + m10 * z0")
    for i, k, by in ((2, 1, "m21"), (2, 0, "m20"), (1, 0, "m10")):
        out.put(f"x{i} = x{i} + {by} * x{k}")
        add_row(out, i, k, by, "+")
    out.put("nis = 0.0")
    out.put("det = 1.0")
    for axis in range(3):
        out.put(f"r = A[{at(NOISE + axis)}]")
        out.put(f"weight = A[{at(WEIGHT + axis)}]")
        measure_axis(out, axis)
    for i, k, by in ((1, 0, "m10"), (2, 0, "m20"), (2, 1, "m21")):
        out.put(f"x{i} = x{i} - {by} * x{k}")
        add_row(out, i, k, by, "-")
    out.store()
    out.put(f"A[{at(NIS)}] = nis")
    out.put(f"A[{at(DET)}] = det")
    return out.lines


def measure_axis(out: Writer, axis: int) -> None:
    out.put(f"s = {p(axis, axis)} + r")
    out.put("v = weight / s")
    out.put(f"y = z{axis} - x{axis}")
    out.put("f = r * v + (1.0 - weight)")
    out.put("nis = nis + y * y * v")
    out.put("det = det * (s * weight + (1.0 - weight))")
    for i in range(out.size):
        out.put(f"k{i} = {p(i, axis)} * v")
    for i in range(out.size):
        out.put(f"x{i} = x{i} + k{i} * y")
    for i, j in out.pairs:
        if axis not in (i, j):
            out.put(f"{p(i, j)} = {p(i, j)} - k{i} * {p(j, axis)}")
    for i in range(out.size):
        out.put(f"{p(i, axis)} = {p(i, axis)} * f")


def scalar(size: int) -> list[str]:
    """One number y = h (x - mean) + noise with any h over position and velocity, in Joseph's form.

    (I - k h') P (I - k h')' + r k k', with the first product formed as it stands: the rounding of k then costs
    nothing (Bucy, Joseph 1968; Bierman 1977, ISBN 0-12-097350-2, section V.2).
    """
    says = "Fuse one number: row h over position and velocity, innovation, noise and weight are in A."
    out = Writer(f"scalar{size}_one", "T, A, width", says, size)
    out.load()
    out.read(**{f"h{i}": H + i for i in range(6)}, y=SCALAR, r=SCALAR + 1, weight=SCALAR + 2, nis=NIS, det=DET)
    for i in range(size):
        out.put(f"w{i} = " + " + ".join(f"{p(i, j)} * h{j}" for j in range(6)))
    out.put("s = r + " + " + ".join(f"w{j} * h{j}" for j in range(6)))
    out.put("v = weight / s")
    out.put(f"A[{at(NIS)}] = nis + y * y * v")
    out.put(f"A[{at(DET)}] = det * (s * weight + (1.0 - weight))")
    for i in range(size):
        out.put(f"k{i} = w{i} * v")
        out.put(f"x{i} = x{i} + k{i} * y")
    for i in range(size):
        out.put(f"g{i} = r * k{i}")
        for j in range(6):
            out.put(f"g{i} = g{i} - ({p(i, j)} - k{i} * w{j}) * h{j}")
    for i, j in out.pairs:
        out.put(f"{p(i, j)} = {p(i, j)} - k{i} * w{j} + g{i} * k{j}")
    out.store()
    return out.lines


def source() -> str:
    """Return the text of the generated room."""
    kernels = [write(6) for write in (predict, position, scalar)] + [write(9) for write in (predict, position)]
    return HEAD + "\n".join("\n".join(lines) for lines in kernels) + "\n"


if __name__ == "__main__":
    TARGET.write_text(source())
