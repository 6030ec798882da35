//! The IPC of libqb, server and client, over sockets and shared memory.
