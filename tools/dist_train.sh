#!/usr/bin/env bash
# Train on several GPUs: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# On several machines, set NNODES, NODE_RANK and MASTER_ADDR (and PORT) on each.
set -euo pipefail
config=${1:?usage: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]}
gpus=${2:?usage: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]}
exec torchrun --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" \
    --nproc-per-node="$gpus" "$(dirname "$0")/train.py" "$config" "${@:3}"
