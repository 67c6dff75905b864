//! Numbers at places in bytes. sock_diag writes in the byte order of the machine, but addresses
//! and ports in network order.

/// The bytes of one field; `None` where they end before it does.
fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

pub(super) fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    at(bytes, offset).map(u16::from_ne_bytes)
}

/// In network order, as ports are.
pub(super) fn be16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    at(bytes, offset).map(u16::from_be_bytes)
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    at(bytes, offset).map(u32::from_ne_bytes)
}

pub(super) fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    at(bytes, offset).map(i32::from_ne_bytes)
}

pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    at(bytes, offset).map(u64::from_ne_bytes)
}

/// Bytes in the order of an address.
pub(super) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    at(bytes, offset)
}

/// Two words, the lower first: how sock_diag writes a cookie (net/core/sock_diag.c
/// `sock_diag_save_cookie`).
pub(super) fn cookie_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let low = u32_at(bytes, offset)?;
    let high = u32_at(bytes, offset + 4)?;
    Some(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_beyond_the_end_is_none() {
        let bytes = [1, 2, 3, 4, 5, 6, 7];
        assert_eq!(be16_at(&bytes, 5), Some(0x0607));
        assert_eq!(be16_at(&bytes, 6), None);
        assert_eq!(u32_at(&bytes, usize::MAX), None);
        assert_eq!(cookie_at(&bytes, 0), None);
        assert_eq!(u8_at(&bytes, 7), None);
    }

    #[test]
    fn a_cookie_is_two_words() {
        let mut bytes = 1u32.to_ne_bytes().to_vec();
        bytes.extend(2u32.to_ne_bytes());
        assert_eq!(cookie_at(&bytes, 0), Some((2 << 32) + 1));
    }
}
