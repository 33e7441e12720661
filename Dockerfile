# Stile with its embedded Whisper. All that must be kept is in /data; nothing else is written but /tmp:
#   docker build -t stile . && docker run --read-only --tmpfs /tmp -v stile:/data -p 8000:8000 stile
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends make
WORKDIR /app
COPY Makefile requirements.txt ./
ENV PIP_NO_CACHE_DIR=1
# The slow step by itself: it is done anew only when the packages change.
RUN make .venv/installed
COPY . .
# The settings make a secret key in DATA_DIR: not in the image.
RUN DATA_DIR=/tmp/data make install && .venv/bin/python -m compileall -q accounts asrsite recordings transcription web

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home stile && install --directory --owner stile /data
COPY --from=build /app /app
WORKDIR /app
USER stile
ENV HOST=0.0.0.0 PORT=8000 DATA_DIR=/data PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD [".venv/bin/python", "-c", \
    "import os, socket; socket.create_connection(('127.0.0.1', int(os.environ['PORT'])), 5)"]
CMD [".venv/bin/python", "manage.py", "serve"]
