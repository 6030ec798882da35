//! Names of addresses.
#![allow(unsafe_code, reason = "std resolves names to addresses, not addresses to names")]

use std::mem::size_of;
use std::net::IpAddr;

/// Whether to ask the name service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The name if there is one, else the number.
    Name,
    /// The number, always.
    Number,
}

/// The name or number of an address, as getnameinfo(3) gives it.
pub fn host_name(address: IpAddr, lookup: Lookup) -> Option<Vec<u8>> {
    let flags = if lookup == Lookup::Number { libc::NI_NUMERICHOST } else { 0 };
    match address {
        IpAddr::V4(v4) => {
            let socket = libc::sockaddr_in {
                sin_family: family(libc::AF_INET),
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.octets()) },
                sin_zero: [0; 8],
            };
            look_up(&socket, flags)
        }
        IpAddr::V6(v6) => {
            let socket = libc::sockaddr_in6 {
                sin6_family: family(libc::AF_INET6),
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.octets() },
                sin6_scope_id: 0,
            };
            look_up(&socket, flags)
        }
    }
}

fn family(number: i32) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).expect("families are small numbers")
}

/// Asks for the name of a `sockaddr_in` or `sockaddr_in6`.
fn look_up<S>(socket: &S, flags: i32) -> Option<Vec<u8>> {
    const ROOM: libc::socklen_t = 1025; // NI_MAXHOST
    let mut host = [0_u8; ROOM as usize];
    let len = libc::socklen_t::try_from(size_of::<S>()).ok()?;
    // SAFETY: `socket` is a socket address of `len` bytes that lives through the
    // call, `host` is writable and as long as said, and no service is asked for.
    let result = unsafe {
        libc::getnameinfo(
            std::ptr::from_ref(socket).cast(),
            len,
            host.as_mut_ptr().cast(),
            ROOM,
            std::ptr::null_mut(),
            0,
            flags,
        )
    };
    (result == 0).then(|| crate::connection::until_nul(&host).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_need_nobody() {
        for text in ["10.1.2.3", "fd00::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(host_name(address, Lookup::Number).unwrap(), text.as_bytes());
        }
    }
}
