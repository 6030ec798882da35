//! How often an administrator hears of datagrams that do not verify.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use sansio::Mono;

/// One line per address in this time [CRYPT-7].
const EVERY: Duration = Duration::from_secs(60);
/// Addresses remembered; a flood of forged sources beyond is only counted.
const MAX_ADDRESSES: usize = 256;

/// Limits the lines about refused datagrams to one per address and minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    last: BTreeMap<IpAddr, (Mono, u64)>,
    unreported: u64,
}

impl Reports {
    /// Nothing reported yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a refused datagram from `address`. Some when it is time for a line:
    /// how many were refused from there since the last one, this one included.
    pub fn refused(&mut self, now: Mono, address: IpAddr) -> Option<u64> {
        if !self.last.contains_key(&address) && self.last.len() >= MAX_ADDRESSES {
            self.last.retain(|_, (at, _)| now - *at < EVERY);
            if self.last.len() >= MAX_ADDRESSES {
                self.unreported += 1;
                return None;
            }
        }
        match self.last.get_mut(&address) {
            Some((at, count)) if now - *at < EVERY => {
                *count += 1;
                None
            }
            Some((_, count)) => {
                let since = *count + 1;
                self.last.insert(address, (now, 0));
                Some(since)
            }
            None => {
                self.last.insert(address, (now, 0));
                Some(1)
            }
        }
    }

    /// Refused datagrams that belong to no remembered address.
    pub fn unreported(&self) -> u64 {
        self.unreported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_address_and_minute() {
        let mut reports = Reports::new();
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let at = |seconds: u64| Mono(seconds * 1_000_000_000);
        assert_eq!(reports.refused(at(1), a), Some(1));
        assert_eq!(reports.refused(at(2), a), None);
        assert_eq!(reports.refused(at(3), b), Some(1));
        assert_eq!(reports.refused(at(60), a), None);
        assert_eq!(reports.refused(at(61), a), Some(3));
    }

    #[test]
    fn a_flood_of_forged_sources_is_only_counted() {
        let mut reports = Reports::new();
        let address = |n: u32| IpAddr::from(std::net::Ipv4Addr::from(n));
        let lines = (0..10_000).filter(|n| reports.refused(Mono(1), address(*n)).is_some());
        assert_eq!(lines.count(), MAX_ADDRESSES);
        assert_eq!(reports.unreported(), 10_000 - MAX_ADDRESSES as u64);
    }
}
