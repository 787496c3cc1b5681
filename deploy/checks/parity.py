#!/usr/bin/env python3
"""Prints docs/parity.md from the deviations that the tests measured (see tests/support/golden.h).

usage: parity.py FOLDER    (the folder that LIFESCOPE_PARITY_DIR named)
"""
import pathlib
import sys

HEADER = """# Parity with the published code

Made by `make parity`; do not edit. Every golden tensor that the tests compare, by family: how many tensors, the allowance
`absolute + relative x |expected|`, and the deviation at the element that came nearest to its allowance. float32 rows compare a
float32 run here with float32 (or float64) tensors of the reference; float64 rows compare float64 with float64. `exact` data (token
encodings, bin edges, vocabularies, digests) is compared for equality and is not listed. LibTorch {torch}; CPU.

| family | tensors | absolute | relative | deviation | share of allowance |
|---|---|---|---|---|---|"""


def share(worst: float, allowed: float) -> str:
    """Nothing is allowed where counts must be equal."""
    return f"{worst / allowed:.1%}" if allowed > 0 else "equal"


def main() -> int:
    folder = pathlib.Path(sys.argv[1])
    rows = []
    for path in sorted(folder.glob("*.tsv")):
        for line in path.read_text().splitlines():
            family, tensors, absolute, relative, worst, allowed = line.split("\t")
            rows.append((family, int(tensors), float(absolute), float(relative), float(worst), float(allowed)))
    if not rows:
        print(f"parity: no measurements in {folder}", file=sys.stderr)
        return 1
    version = folder / "torch_version"
    print(HEADER.format(torch=version.read_text().strip() if version.exists() else "1.13 (Debian 12)"))
    for family, tensors, absolute, relative, worst, allowed in sorted(rows):
        print(f"| `{family}` | {tensors} | {absolute:.0e} | {relative:.0e} | {worst:.1e} | {share(worst, allowed)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
