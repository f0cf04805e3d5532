"""Which features of cargo this machine can build: the JPEG decoder takes tools that not all have.

Run as a program it prints them, for a command line of cargo.
"""

import os
import platform
import shutil
import sys

_X86 = {"amd64", "i386", "i686", "x86", "x86_64"}


def missing_tools() -> list[str]:
    """What libjpeg-turbo takes to build and the machine lacks.

    A C compiler is not looked for: Rust links with it.
    """
    tools = ["cmake"]
    if os.name == "posix":
        tools.append("make")  # elsewhere cmake builds with what comes with the compiler
    if platform.machine().lower() in _X86:
        tools.append("nasm")  # for its SIMD code; that for ARM is in C
    return [tool for tool in tools if not shutil.which(tool)]


def cargo_features() -> list[str]:
    """The arguments of cargo: none, or that which leaves the decoder out, after saying so."""
    if not (missing := missing_tools()):
        return []
    print(
        f"qvl_fast: built without its JPEG decoder, for lack of {', '.join(missing)}: "
        "Pillow will decode JPEG files, more slowly",
        file=sys.stderr,
    )
    return ["--no-default-features"]


if __name__ == "__main__":
    print(*cargo_features())
