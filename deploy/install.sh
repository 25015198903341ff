#!/usr/bin/env bash
# Install the locked dependencies into a new environment: install.sh DEVICE FOLDER
set -euo pipefail

device=$1
folder=$2
lock=requirements/base.txt
torch='torch|torchaudio|torchcodec'

python -m venv "$folder"
"$folder/bin/pip" install --quiet --no-cache-dir --require-hashes -r requirements/uv.txt
export VIRTUAL_ENV=$folder
uv=("$folder/bin/uv" pip install --quiet --no-cache --compile-bytecode)

case $device in
cuda)
    "${uv[@]}" --require-hashes -r "$lock"
    ;;
cpu)
    # The lock pins torch with CUDA. CPU builds have other hashes and need none of the CUDA libraries.
    awk -v left_out="^(($torch|triton)==|nvidia-|cuda-)" '/^[^ #]/ { skip = $0 ~ left_out } !skip' "$lock" >/tmp/cpu.txt
    "${uv[@]}" --require-hashes --no-deps -r /tmp/cpu.txt
    grep -oE "^($torch)==[^ ]+" "$lock" >/tmp/torch.txt
    "${uv[@]}" --torch-backend cpu --no-deps -r /tmp/torch.txt
    ;;
*)
    echo "DEVICE must be cuda or cpu, not $device" >&2
    exit 1
    ;;
esac
