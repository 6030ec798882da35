#!/bin/bash
# Runs "$@" beside Debian's corosync, alone on 127.0.0.1. Expects network, mount
# and process namespaces of its own; everything it makes goes with them.
ulimit -c 0
hide() { mount -t tmpfs none "$1" || exit 99; }
mount --make-rprivate / || exit 99
mkdir -p /var/lib/corosync /var/log/corosync /etc/corosync
for folder in /run /var/lib/corosync /var/log/corosync /etc/corosync /dev/shm; do hide "$folder"; done
ip link set lo up || exit 99
cat > /etc/corosync/corosync.conf <<CONF
totem {
	version: 2
	cluster_name: solo
	transport: udpu
}
nodelist {
	node {
		ring0_addr: 127.0.0.1
		name: alone
		nodeid: 1
	}
}
quorum {
	provider: corosync_votequorum
}
logging {
	to_stderr: no
	to_syslog: no
}
CONF
corosync -f >&2 2>/dev/null &
for try in $(seq 100); do
	corosync-quorumtool -s >/dev/null 2>&1 && break
	[ "$try" = 100 ] && exit 99
	sleep 0.1
done
"$@"
code=$?
kill %1
wait %1 2>/dev/null
exit $code
