#!/bin/sh
# Installs Debian packages without letting anything start on this machine.
# usage: setup.sh PACKAGE...
#
# A policy-rc.d that refuses everything stands while dpkg works; what was there
# before comes back, also after an interruption. Units of packages that were not
# there before, dependencies included, are disabled, so that the next boot starts
# no cluster.
set -eu
policy=/usr/sbin/policy-rc.d
mark='# systole: nothing starts while packages for tests are installed'
kept=$policy.systole-kept

exec 9>/run/lock/systole-setup.lock
flock 9

restore() {
    if [ -e "$kept" ]; then
        mv -f "$kept" "$policy"
    elif grep -qsF "$mark" "$policy"; then
        rm -f "$policy"
    fi
}

# A run that was killed may have left its own behind.
restore
trap restore EXIT
trap 'exit 130' INT TERM HUP
if [ -e "$policy" ]; then
    mv "$policy" "$kept"
fi
printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
chmod 755 "$policy"

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 "$@"
}

installed() {
    dpkg-query -W -f='${Package} ${db:Status-Status}\n' | sed -n 's/ installed$//p' | sort
}

before=$(mktemp)
installed >"$before"
# Lists that are old name packages that the mirror has no more: try, then update.
if ! apt install --no-install-recommends "$@"; then
    apt update
    apt install --no-install-recommends "$@"
fi
added=$(installed | comm -13 "$before" - | grep -Ev '^(systemd|dbus|udev)' || true)
rm -f "$before"

if command -v systemctl >/dev/null; then
    for package in $added; do
        dpkg-query -L "$package" |
            sed -n 's,^\(/usr\)\?/lib/systemd/system/\([^/@]*\.\(service\|socket\|timer\)\)$,\2,p' |
            while read -r unit; do
                systemctl disable "$unit" >/dev/null 2>&1 || true
            done
    done
fi
