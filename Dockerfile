# Billplane's one image: every service, the operator and the command line.
#   docker build -t billplane .
#   docker run billplane run tax | operator run | cli --help
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_WARN_SCRIPT_LOCATION=1
RUN python -m venv --without-pip /opt/billplane
COPY requirements-image.lock /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/billplane/bin/python install --no-compile --require-hashes \
        -r /build/requirements-image.lock
# What no service reads: tests, translations of country names, sources of extensions, type stubs.
RUN cd /opt/billplane/lib/python3*/site-packages \
 && rm -rf pycountry/locales numpy/*/tests numpy/tests numpy/f2py numpy/_core/include \
 && find . \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete
COPY pyproject.toml README.md LICENSE /build/
COPY services /build/services
COPY operator /build/operator
COPY cli /build/cli
# Hatchling builds the package and is not needed after it.
RUN pip --python /opt/billplane/bin/python install --no-compile --no-deps --no-build-isolation /build \
 && pip --python /opt/billplane/bin/python uninstall -q -y hatchling pathspec trove-classifiers
# Compiled once, with names that do not depend on when: a read-only root could not keep it later.
ARG SOURCE_DATE_EPOCH=0
RUN /opt/billplane/bin/python -m compileall -q --invalidation-mode unchecked-hash \
        /opt/billplane/lib \
 && find /opt/billplane -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM ${PYTHON_IMAGE}
COPY --from=builder /opt/billplane /opt/billplane
COPY --chmod=755 tools/entrypoint.sh /usr/local/bin/billplane-entrypoint
ENV PATH=/opt/billplane/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BILLPLANE_BIND_HOST=0.0.0.0
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://github.com/billplane/billplane
LABEL org.opencontainers.image.title="Billplane" \
      org.opencontainers.image.description="An open billing platform" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
WORKDIR /tmp
USER 10001:10001
EXPOSE 8080 50051
STOPSIGNAL SIGTERM
ENTRYPOINT ["billplane-entrypoint"]
CMD ["run", "all"]
