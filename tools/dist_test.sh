#!/usr/bin/env bash
# Evaluate on several GPUs: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# On several machines, set NNODES, NODE_RANK and MASTER_ADDR (and PORT) on each.
set -euo pipefail
config=${1:?usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]}
checkpoint=${2:?usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]}
gpus=${3:?usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]}
exec torchrun --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" \
    --nproc-per-node="$gpus" "$(dirname "$0")/test.py" "$config" "$checkpoint" "${@:4}"
