# grpo-kit with what its tests need, for a CPU:
#   docker build -t grpo-kit .
#   docker run --rm grpo-kit grpo-kit doctor
#   docker run --rm SANDBOX grpo-kit make test-core
# where SANDBOX is what lets the sandbox make its namespaces in a container (docs/sandbox.md):
#   --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined
# With a CUDA build of torch (of an index such as this), on a host with the NVIDIA container toolkit:
#   docker build -t grpo-kit:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#   docker run --rm --gpus all grpo-kit:cuda grpo-kit doctor
# Neither image has been built by the kit's own checks; a test holds this file to the Makefile's targets and variables.
FROM python:3.12-slim-bookworm

# git and make are what the Makefile calls; a C++ compiler is what model.compile and torch's extensions ask for.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential git make \
 && rm -rf /var/lib/apt/lists/*

# Where torch comes from: the index of CPU builds, or one of CUDA builds.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /grpo-kit
COPY . .
RUN make install-dev PIP_EXTRA="--no-cache-dir --index-url ${TORCH_INDEX} --extra-index-url https://pypi.org/simple"
ENV PATH=/grpo-kit/.venv/bin:$PATH

CMD ["grpo-kit", "--help"]
