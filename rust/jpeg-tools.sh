#!/bin/sh
# Gets what libjpeg-turbo takes to build with its SIMD, cmake and nasm, into a folder if the system
# lacks them, without root. What cannot be had is left out: features.py decides what that means.
#
#     rust/jpeg-tools.sh PIP FOLDER
set -u
pip=$1 folder=$2
mkdir -p "$folder/bin"
PATH=$folder/bin:$PATH

if ! command -v cmake >/dev/null; then
    "$pip" install --quiet --target "$folder/cmake" cmake &&
        ln -sf "$folder/cmake/cmake/data/bin/cmake" "$folder/bin/cmake"
fi
if ! command -v nasm >/dev/null && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    (cd "$folder" && apt-get --quiet download nasm && dpkg-deb -x nasm_*.deb nasm) &&
        ln -sf "$folder/nasm/usr/bin/nasm" "$folder/bin/nasm"
fi
exit 0
