//! Sequence numbers of messages and tokens: 32 bits that wrap.
//!
//! Two numbers are compared by the sign of their difference, which is right
//! while they are less than half the range apart; everything that is compared
//! here lies within one window of 16,384.

/// Whether `a` comes before `b`.
pub(crate) fn before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

/// Whether `a` comes before `b` or is the same.
pub(crate) fn before_or_at(a: u32, b: u32) -> bool {
    a == b || before(a, b)
}

/// The earlier of two.
pub(crate) fn earlier(a: u32, b: u32) -> u32 {
    if before(a, b) { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        assert!(before(1, 2) && !before(2, 1) && !before(2, 2));
        assert!(before(u32::MAX, 0) && !before(0, u32::MAX));
        assert!(before_or_at(7, 7));
        assert_eq!(earlier(u32::MAX - 1, 3), u32::MAX - 1);
    }
}
