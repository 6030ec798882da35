//! corosync.conf
