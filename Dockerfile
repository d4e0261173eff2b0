# Billplane's one image: every service, the operator and the command line.
#   docker build -t billplane .
#   docker run billplane run tax | operator run | cli --help
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_WARN_SCRIPT_LOCATION=1 PYTHONDONTWRITEBYTECODE=1
RUN apt-get update -q && apt-get install -q -y --no-install-recommends binutils
RUN python -m venv --without-pip /opt/billplane
COPY requirements-image.lock requirements-data.lock /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/billplane/bin/python install --no-compile --require-hashes \
        -r /build/requirements-image.lock \
 && pip --python /opt/billplane/bin/python install --no-compile --require-hashes --no-deps \
        -r /build/requirements-data.lock
# What no program reads: symbols of extensions, their sources, type stubs, tests, the names of
# countries in other languages, lexers of languages that nothing highlights.
RUN cd /opt/billplane/lib/python3*/site-packages \
 && find . -name '*.so*' -type f -exec strip --strip-unneeded {} + \
 && find . \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete \
 && rm -rf pycountry/locales numpy/*/tests numpy/tests numpy/f2py numpy/_core/include \
 && find pygments/lexers -name '*.py' ! -name '__init__.py' ! -name '_mapping.py' ! -name 'python.py' -delete
COPY pyproject.toml README.md LICENSE /build/
COPY services /build/services
COPY operator /build/operator
COPY cli /build/cli
# Hatchling builds the package and is not needed after it.
RUN pip --python /opt/billplane/bin/python install --no-compile --no-deps --no-build-isolation /build \
 && pip --python /opt/billplane/bin/python uninstall -q -y hatchling pathspec trove-classifiers
COPY tools/image/compile.py /build/
RUN /opt/billplane/bin/python /build/compile.py

# The base without what a running service must not have: package managers, compilers' files.
FROM ${PYTHON_IMAGE} AS root
RUN rm -rf /usr/include /usr/local/include /usr/lib/*/*.a /usr/lib/python3*/config-* \
        /usr/local/lib/python3*/config-* /usr/lib/python3/dist-packages/pip* \
        /usr/local/lib/python3*/site-packages/pip* /usr/share/python-wheels \
        /usr/lib/python3*/ensurepip /usr/local/lib/python3*/ensurepip \
        /usr/lib/python3*/idlelib /usr/local/lib/python3*/idlelib \
        /usr/lib/python3*/test /usr/local/lib/python3*/test \
        /usr/local/bin/pip* /usr/bin/pip* /usr/src /usr/lib/*/gconv /usr/bin/perl* /usr/lib/*/perl-base /usr/bin/apt* /usr/lib/apt /usr/lib/*/libapt* \
        /usr/share/doc /usr/share/man /usr/share/perl* /var/lib/apt /var/cache/* /var/log/* /tmp/* \
 && find / -xdev -name __pycache__ -path '*python3*' -prune -exec rm -rf {} + \
 && python -m compileall -q --invalidation-mode unchecked-hash \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
RUN echo 'billplane:x:10001:10001:Billplane:/tmp:/bin/false' >> /etc/passwd \
 && echo 'billplane:x:10001:' >> /etc/group
COPY --from=builder /opt/billplane /opt/billplane
COPY --chmod=755 tools/image/entrypoint.sh /usr/local/bin/billplane-entrypoint
ARG SOURCE_DATE_EPOCH=0
RUN find /opt/billplane /usr /var -xdev -newermt "@${SOURCE_DATE_EPOCH}" \
        -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM scratch
COPY --from=root / /
ENV PATH=/opt/billplane/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    HOME=/tmp \
    USER=billplane \
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
