# Worker, query node and command line in one image; what it does is its command's first word.
FROM python:3.13-bookworm AS build
WORKDIR /src
RUN python -m venv --without-pip /opt/consentry
COPY requirements/service.lock requirements/build.lock requirements/
# The full image has a compiler: Faust has no wheel for Linux on ARM.
RUN pip install --no-cache-dir --require-hashes -r requirements/build.lock \
 && pip --python /opt/consentry/bin/python install --no-cache-dir --require-hashes -r requirements/service.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY examples examples
COPY consentry consentry
COPY streams streams
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /opt/consentry/bin/python install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin consentry
COPY --from=build /opt/consentry /opt/consentry
ENV PATH=/opt/consentry/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
ENTRYPOINT ["consentry"]
CMD ["--help"]
