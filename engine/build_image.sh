#!/usr/bin/env bash
# Builds the engine image: CUDA by default, FLAVOR=cpu for a machine without a GPU.
#
#   engine/build_image.sh
#   IMAGE_REPO=ghcr.io/<org>/vllm-engine IMAGE_TAG=phase1 PUSH=1 engine/build_image.sh
#
# IMAGE_REPO (hallmark-engine)  IMAGE_TAG (<flavor>)  PUSH (0)  TARGET_PLATFORM (linux/amd64: what NVIDIA's runtimes are)
# FLAVOR (cuda)  BASE_IMAGE (of the flavor)  VLLM_VERSION (the Dockerfile's)  EXTRA_INDEX (where CPU builds of torch are)
# BUILD_NETWORK (default; `host` where containers cannot reach an index)
set -euo pipefail
refuse() { echo "build_image.sh: $*" >&2; exit 2; }
case ${1:-} in
  "") ;;
  -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit 0 ;; # the comment above
  *) refuse "$1: takes no arguments, only variables (--help lists them)" ;;
esac
cd "$(dirname "$0")/.."

flavor=${FLAVOR:-cuda} platform=${TARGET_PLATFORM:-linux/amd64} push=${PUSH:-0}
repo=${IMAGE_REPO:-hallmark-engine} tag=${IMAGE_TAG:-$flavor}
case $flavor in
  cuda) base=${BASE_IMAGE:-} ;;
  cpu) base=${BASE_IMAGE:-python:3.11-slim-bookworm} ;;
  *) refuse "FLAVOR=$flavor: must be cuda or cpu" ;;
esac
case $push in 0 | 1) ;; *) refuse "PUSH=$push: must be 0 or 1" ;; esac
case $platform in linux/amd64 | linux/arm64) ;; *) refuse "TARGET_PLATFORM=$platform: must be linux/amd64 or linux/arm64" ;; esac
if [ "$flavor" = cuda ] && [ "$platform" != linux/amd64 ]; then
  refuse "vLLM's CUDA build has no wheels for $platform, pip would try a source build ('Unknown runtime environment'):" \
    "set TARGET_PLATFORM=linux/amd64"
fi
command -v docker >/dev/null || refuse "docker is not installed"
docker version >/dev/null 2>&1 || { echo "build_image.sh: no Docker daemon answers (is it running? DOCKER_HOST=${DOCKER_HOST:-})" >&2; exit 3; }

# Wheels that this machine's pip is told to look at first come along: an index with CPU builds of torch may be out of reach.
for place in ${PIP_FIND_LINKS:-}; do
  if [ "$flavor" = cpu ] && [ -d "$place" ]; then cp -u "$place"/*.whl engine/wheels/ 2>/dev/null || true; fi
done

# Another platform than the machine's own needs a builder that knows platforms; the plain one is told nothing it would refuse.
machine=$(uname -m) options=()
[ "$platform" = "linux/${machine/x86_64/amd64}" ] || [ "$platform" = "linux/${machine/aarch64/arm64}" ] || options+=(--platform "$platform")
[ -z "$base" ] || options+=(--build-arg "BASE_IMAGE=$base")
[ -z "${VLLM_VERSION:-}" ] || options+=(--build-arg "VLLM_VERSION=$VLLM_VERSION")
[ -z "${EXTRA_INDEX:-}" ] || options+=(--build-arg "EXTRA_INDEX=$EXTRA_INDEX")
sha=${BUILD_SHA:-$(git rev-parse --short=12 HEAD 2>/dev/null || echo dev)}
docker build -f engine/Dockerfile --network "${BUILD_NETWORK:-default}" --force-rm "${options[@]}" \
  --build-arg "FLAVOR=$flavor" --build-arg "BUILD_SHA=$sha" \
  --build-arg "BUILD_TIME=${BUILD_TIME:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}" -t "$repo:$tag" .
[ "$push" = 0 ] || docker push "$repo:$tag"
echo "built $repo:$tag ($flavor, $platform)"
