#!/usr/bin/env bash
# Install the servers and the browser that tests/cluster starts, from Debian's packages, where they are missing.
set -euo pipefail
packages=()
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages+=(postgresql)
command -v java >/dev/null || packages+=(openjdk-17-jre-headless)
command -v chromedriver >/dev/null || packages+=(chromium chromium-driver)
((${#packages[@]})) || exit 0
export DEBIAN_FRONTEND=noninteractive
root=$([ "$(id -u)" = 0 ] || echo sudo)
$root apt-get update -qq
$root apt-get install -qq --yes --no-install-recommends "${packages[@]}"
