#!/bin/bash
# What the tests need from Debian: browsers, a microphone, a voice, encoders, gettext's compiler, recordings, Chinese
# letters, a database server.
# Installs what is missing, if it may; else puts the recordings into .cache/ and says what a person must do.
set -eu
cd "$(dirname "$0")/.."
needed="chromium-headless-shell espeak-ng ffmpeg gettext pocketsphinx-testdata fonts-noto-cjk postgresql"
needed+=" nginx caddy curl openssl firefox-esr webkit2gtk-driver xvfb pulseaudio pulseaudio-utils gstreamer1.0-pulseaudio"

if ! command -v dpkg-query >/dev/null; then
    echo "The tests are set up for Debian; elsewhere, have these installed: $needed" >&2
    exit 0
fi
missing=""
for package in $needed; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=" $package"
done

if [ -n "$missing" ] && [ "$(id -u)" = 0 ]; then
    policy=/usr/sbin/policy-rc.d # by which Debian asks whether a service may start: the tests start their own
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f $policy' EXIT; }
    apt-get -qq update
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $missing >/dev/null
    missing=""
fi

if [[ $missing == *pocketsphinx-testdata* ]]; then
    missing=${missing/ pocketsphinx-testdata/}
    if [ ! -d .cache/usr/share/pocketsphinx ]; then
        mkdir -p .cache
        (cd .cache && apt-get -qq download pocketsphinx-testdata && dpkg -x pocketsphinx-testdata_*.deb . && rm ./*.deb)
    fi
fi
if [ -n "$missing" ]; then
    echo "The tests need these packages, which only root may install: sudo apt-get install$missing" >&2
    exit 1
fi
