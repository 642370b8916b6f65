#!/usr/bin/env bash
# An exported model behind vLLM's OpenAI-compatible server, on this machine's GPUs.
#   yamls/launch/serve_vllm.sh FOLDER [GPUS] [vllm's own options ...]
# vLLM needs an environment of its own: pip install vllm. Chat requests need a chat template in FOLDER, which
# fine-tuning on dialogues gives; without one only /v1/completions answers.
set -euo pipefail

folder=${1:?a folder written by recipes/export.py}
gpus=${2:-1}
shift $(( $# < 2 ? $# : 2 ))
for file in config.json tokenizer.json generation_config.json; do
  [ -f "$folder/$file" ] || { echo "error: $folder/$file: no such file; give a folder written by recipes/export.py" >&2; exit 2; }
done
# The stop tokens are the folder's own; nothing is fetched, no code of the folder runs.
export HF_HUB_OFFLINE=1
exec vllm serve "$folder" --served-model-name "$(basename "$folder")" --tensor-parallel-size "$gpus" \
  --generation-config "$folder" --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}" "$@"
