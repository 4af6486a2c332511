# A Breakwater worker; also the fleet's stand-in and the one-shot that prepares its namespace (see docker-compose.yml).
FROM python:3.11-slim AS packages
WORKDIR /app
COPY requirements-fleet.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements-fleet.txt

FROM python:3.11-slim
# Nobody's home and nobody's shell: the process writes to /tmp, and large values to /blobs, nowhere else.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin breakwater \
 && install --directory --owner 10001 --mode 700 /blobs
COPY --from=packages /venv /venv
WORKDIR /app
COPY worker.py starter.py ./
COPY workflows workflows
COPY activities activities
COPY hosting hosting
COPY console console
COPY simulator simulator
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    BREAKWATER_HOME=/tmp/breakwater \
    LOG_FORMAT=json \
    HEALTH_ADDRESS=0.0.0.0:8081 \
    METRICS_ADDRESS=0.0.0.0:9464
USER 10001
EXPOSE 8081 9464
# Ready: polling, its circuits' store answers. Within a container nothing else says so.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "hosting.health"]
ENTRYPOINT ["python", "worker.py"]
