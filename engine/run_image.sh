#!/usr/bin/env bash
# Starts the engine image in the background and says where it answers. Environment variables of the image are passed on.
#
#   engine/run_image.sh [vLLM's flags]
#   MODEL_ID=meta-llama/Llama-3.1-8B-Instruct MAX_MODEL_LEN=4096 engine/run_image.sh
#   MODEL_ID=./fixtures/hallmark_tiny IMAGE_TAG=cpu engine/run_image.sh         # a folder of this machine is mounted
#
# IMAGE_REPO (hallmark-engine)  IMAGE_TAG (cuda)  NAME (hallmark-engine)  PUBLISH (127.0.0.1:$PORT; where the host listens)
# SSH_PUBLISH (127.0.0.1:2222; where the host listens for SSH, with ENABLE_SSHD=1 or PUBLIC_KEY)
# CACHE_VOLUME (model_cache)  GPUS (all where the image is CUDA's)  MEMORY (a limit such as 8g)  DOCKER_NETWORK (default)
# STOP_GRACE_S (40; from a stop to the container's end, told to Docker and to the image)
# Ends 2 for a setting that makes no sense, 3 where the machine lacks something.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit 0 ;; esac # the comment above
cd "$(dirname "$0")/.."

refuse() { local code=$1; shift; echo "run_image.sh: $*" >&2; exit "$code"; }

image=${IMAGE_REPO:-hallmark-engine}:${IMAGE_TAG:-cuda} name=${NAME:-hallmark-engine} port=${PORT:-8000} grace=${STOP_GRACE_S:-40}
docker version >/dev/null 2>&1 || refuse 3 "no Docker daemon answers (is it running? DOCKER_HOST=${DOCKER_HOST:-})"
docker image inspect "$image" >/dev/null 2>&1 || refuse 3 "no image $image here: build it (engine/build_image.sh) or docker pull it"
[ -z "$(docker ps -aq --filter "name=^$name\$")" ] || refuse 3 "a container named $name is there already: docker rm -f $name, or set NAME"
[[ $port =~ ^[0-9]+$ ]] || refuse 2 "PORT=$port: must be a whole number from 1 to 65535"
[[ $grace =~ ^[1-9][0-9]{0,3}$ ]] || refuse 2 "STOP_GRACE_S=$grace: must be a whole number of seconds from 1 to 3600"

options=(--name "$name" --detach --stop-timeout "$grace" -v "${CACHE_VOLUME:-model_cache}:/cache" --shm-size 1g)
[ -z "${MEMORY:-}" ] || options+=(--memory "$MEMORY")
if [ "${DOCKER_NETWORK:-default}" = host ]; then options+=(--network host); else
  publish=${PUBLISH:-127.0.0.1:$port}
  options+=(--network "${DOCKER_NETWORK:-bridge}" -p "$publish:$port")
  ssh=${SSH_PORT:-22}
  if [[ ! ${ENABLE_SSHD:-0} =~ ^(0|false|no)$ ]] || [ -n "${PUBLIC_KEY:-}" ]; then options+=(-p "${SSH_PUBLISH:-127.0.0.1:2222}:$ssh"); fi
fi
if [ "$(docker image inspect -f '{{index .Config.Labels "hallmark.engine.flavor"}}' "$image")" = cuda ]; then
  nvidia-smi >/dev/null 2>&1 || refuse 3 "nvidia-smi does not work on this host: install NVIDIA's driver, or build with FLAVOR=cpu"
  docker info -f '{{json .Runtimes}}' | grep -q nvidia || command -v nvidia-container-runtime-hook >/dev/null ||
    refuse 3 "Docker does not know the NVIDIA runtime: install the NVIDIA Container Toolkit and restart the daemon"
  options+=(--gpus "${GPUS:-all}" --ipc host)
fi
if [ -d "${MODEL_ID:-}" ]; then
  folder=$(cd "$MODEL_ID" && pwd)
  options+=(-v "$folder:/models/$(basename "$folder"):ro")
  export MODEL_ID=/models/$(basename "$folder")
fi
# By name only: values, secrets among them, stay out of every command line. Unset ones are not passed.
for variable in MODEL_ID SERVED_MODEL_NAME HF_TOKEN PORT HOST DTYPE TENSOR_PARALLEL MAX_MODEL_LEN GPU_MEMORY_UTILIZATION \
  ENABLE_SSHD PUBLIC_KEY SSH_PORT STOP_GRACE_S LOG_FORMAT JWT_SECRET GATEWAY_API_KEYS HF_HUB_OFFLINE \
  $(compgen -e | grep -E '^(VLLM|GATEWAY)_' || true); do
  [ -z "${!variable:-}" ] || options+=(-e "$variable")
done
docker run "${options[@]}" "$image" "$@" >/dev/null || refuse 3 "docker run failed (see above)"
trap 'echo "run_image.sh: interrupted; the container goes on: docker logs -f $name"' INT
# What is wrong with the settings or the machine shows at once; waiting for the model is smoke_test.sh's work.
for _ in $(seq 20); do
  if [ "$(docker inspect -f '{{.State.Running}}' "$name")" != true ]; then
    code=$(docker inspect -f '{{.State.ExitCode}}' "$name")
    docker logs --tail 20 "$name" >&2
    docker rm "$name" >/dev/null
    refuse "$code" "the container ended at once with exit code $code (see above)"
  fi
  sleep 0.1
done
echo "started $name: http://${publish:-127.0.0.1:$port} - wait for it with engine/smoke_test.sh, read it with docker logs -f $name"
