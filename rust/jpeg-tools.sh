#!/bin/sh
# Finds what libjpeg-turbo takes to build with its SIMD, cmake and nasm, or gets it into a folder
# without root. Prints the features of cargo to build with: none but the default if both are there,
# else those without the JPEG decoder, and says so.
#
#     rust/jpeg-tools.sh PIP FOLDER
set -u
pip=$1 folder=$2
mkdir -p "$folder/bin"
PATH=$folder/bin:$PATH

if ! command -v cmake >/dev/null; then
    "$pip" install --quiet --target "$folder/cmake" cmake >&2 &&
        ln -sf "$folder/cmake/cmake/data/bin/cmake" "$folder/bin/cmake"
fi
if ! command -v nasm >/dev/null && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    (cd "$folder" && apt-get --quiet download nasm && dpkg-deb -x nasm_*.deb nasm) >&2 &&
        ln -sf "$folder/nasm/usr/bin/nasm" "$folder/bin/nasm"
fi

if cmake --version >/dev/null 2>&1 && nasm -v >/dev/null 2>&1; then
    exit 0
fi
echo "qvl_fast: no cmake or no nasm, so JPEG files will be decoded by Pillow, more slowly;" \
    "install both and run 'make clean' to change that" >&2
echo --no-default-features
