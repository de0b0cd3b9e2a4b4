# Two images from one file:
#   docker build --target api -t rdw-api .        the HTTP service, without torch
#   docker build --target worker -t rdw-worker .  Celery and torch
# Torch comes from the default package index; where only CPUs are to be used, give a smaller one:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=… --target worker .

# Pin the base image by its digest: --build-arg PYTHON_DIGEST=@sha256:… (deploy/pin-images prints it).
ARG PYTHON_DIGEST=""

FROM python:3.11-slim${PYTHON_DIGEST} AS base
# The root file system may be read-only: libraries write their caches to /tmp.
ENV HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 RDW_DATA_DIR=/data
RUN groupadd --system --gid 10001 rdw \
    && useradd --system --uid 10001 --gid rdw --no-create-home rdw \
    && install -d -o rdw -g rdw /data
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY app app
COPY client client
COPY migrations migrations
COPY worker worker
VOLUME /data

FROM base AS api
RUN pip install -c constraints.txt ./client .
WORKDIR /data
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["rdw", "api"]

FROM base AS worker
ARG PIP_EXTRA_INDEX_URL
RUN pip install -c constraints.txt ./client ".[worker]"
WORKDIR /data
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["rdw", "alive"]
CMD ["rdw", "worker"]
