#!/usr/bin/env python3
"""Checks that every #include points down: the folder table of docs/architecture.md, as data.

A folder may include itself and what stands beside it here. Libraries of a higher tier (gRPC in the engine, LibTorch in
the client) are refused too. Prints each violation as file:line and exits 1.
"""
import pathlib
import re
import sys

ENGINE = {
    "server/artifact": [],
    "server/vector": [],
    "server/optimizer": ["server/vector"],
    "server/plot": [],
    "server/corpus": ["server/artifact"],
    "server/model": ["server/artifact"],
    "server/dictionary": ["server/artifact", "server/optimizer", "server/vector"],
    "server/dictionary/files": ["server/artifact", "server/optimizer", "server/dictionary"],
    "server/dictionary/training": ["server/artifact", "server/optimizer", "server/vector", "server/dictionary"],
    "server/dictionary/baselines": ["server/artifact", "server/optimizer", "server/dictionary"],
    "server/training": ["server/artifact", "server/optimizer", "server/plot", "server/corpus", "server/model", "server/dictionary",
                        "server/dictionary/training"],
    "server/intervention": ["server/artifact", "server/corpus", "server/model", "server/dictionary"],
    "server/intervention/attribution": ["server/artifact", "server/corpus", "server/model", "server/dictionary",
                                        "server/intervention"],
    "server/evaluation": ["server/artifact", "server/corpus", "server/model", "server/dictionary", "server/intervention",
                          "server/training"],
    "server/runtime": ["server/artifact", "server/corpus", "server/model", "server/dictionary", "server/dictionary/files"],
}
SERVICE = {
    "storage": [],
    "server/app": [*ENGINE, "storage"],
}
GRPC = {
    "server/rpc": ["server/app", "storage"],
    "server/command": [*ENGINE, "storage", "server/app", "server/rpc"],
    "client/cli": [],
}
ALLOWED = {**ENGINE, **SERVICE, **GRPC}

# Library headers by tier: who may not use them.
LIBRARIES = [
    (re.compile(r"^(grpcpp|grpc)/|\.grpc\.pb\.h$"), [*ENGINE, *SERVICE], "gRPC belongs to the gRPC tier"),
    (re.compile(r"\.pb\.h$|^google/protobuf/"), [*ENGINE, "storage"], "messages belong to app and above"),
    (re.compile(r"^absl/"), [f for f in ENGINE if f != "server/runtime"], "the engine tier uses std alone"),
    (re.compile(r"^(torch|ATen|c10)/"), ["storage", "client/cli"], "LibTorch belongs to the engine tier"),
    (re.compile(r"^(pqxx/|sqlite3\.h)"), [f for f in ALLOWED if f != "storage"], "databases belong to storage"),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def folder_of(path: str):
    matches = [f for f in ALLOWED if path.startswith(f + "/")]
    return max(matches, key=len) if matches else None


def main() -> int:
    root = pathlib.Path(__file__).resolve().parents[2]
    errors = []
    for top in ("server", "storage", "client"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            relative = path.relative_to(root).as_posix()
            folder = folder_of(relative)
            if folder is None:
                if relative != "server/main.cc":
                    errors.append(f"{relative}: its folder is not in the table of deploy/checks/includes.py")
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                target = match.group(1)
                other = folder_of(target)
                if other and other != folder and other not in ALLOWED[folder]:
                    errors.append(f"{relative}:{number}: {folder} may not include {other} ({target})")
                for pattern, forbidden, why in LIBRARIES:
                    if folder in forbidden and pattern.search(target):
                        errors.append(f"{relative}:{number}: {target}: {why}")
    for error in errors:
        print(error)
    print(f"include directions: {len(errors)} violations")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
