#!/bin/sh
# Put Chromium on this machine for the tests marked `browser`. Does nothing where it is there already, and nothing
# but say so where it cannot: the tests then skip, or fail on CI.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "no Chromium here, and no root with apt-get to install it: browser tests will skip" >&2
    exit 0
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
if apt-get -q update >"$log" 2>&1 && apt-get -qy install --no-install-recommends chromium >>"$log" 2>&1; then
    rm -f "$log"
else
    tail -n 5 "$log" >&2
    echo "Chromium could not be installed ($log): browser tests will skip" >&2
fi
