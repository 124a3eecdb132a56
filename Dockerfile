# The environment of fettle, and nothing of a project: the checkout is mounted at /fettle, so that
# DVC's cache, git's branches and raw data outlive the container.
#
#   docker build --tag fettle:latest .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/fettle" fettle:latest run
FROM python:3.11-slim-bookworm

# git: nights are commits. openssh-client: remotes of git and DVC that are reached by SSH.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/*

# As `make setup` does it: uv out of the lock, by its hash, then everything else, by theirs. The
# launcher finds the nearest .venv upwards, which is this one unless the checkout brings its own.
WORKDIR /
COPY requirements.lock /requirements.lock
RUN python -m venv /.venv \
    && awk '/^[a-z]/ { block = /^uv==/ } block' /requirements.lock > /.venv/uv.lock \
    && /.venv/bin/python -m pip install --quiet --no-deps --require-hashes -r /.venv/uv.lock \
    && /.venv/bin/uv pip sync --quiet --require-hashes --no-cache --compile-bytecode \
        --python /.venv/bin/python /requirements.lock

# Whoever runs it may be any user of the host's; git asks whose the mounted checkout is, and what
# writes to a home needs one that everybody may write to.
RUN git config --system --add safe.directory /fettle && mkdir --mode=1777 /home/fettle
ENV HOME=/home/fettle
WORKDIR /fettle
ENTRYPOINT ["./fettle"]
CMD ["run"]
