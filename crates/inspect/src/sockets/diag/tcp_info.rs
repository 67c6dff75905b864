//! `struct tcp_info` (include/uapi/linux/tcp.h; filled by net/ipv4/tcp.c `tcp_get_info`). It
//! grows at its end with the kernel: what an older one does not write is `None`, and what a newer
//! one adds is passed over.

use super::super::TcpInfo;
use super::bytes::{u8_at, u32_at, u64_at};

/// `TCP_INFINITE_SSTHRESH` (include/net/tcp.h): never left slow start.
const NO_THRESHOLD: u32 = 0x7fff_ffff;
/// Bit 0 of the bit fields after the window scales; they begin at the other end of the byte on
/// big-endian machines.
const APP_LIMITED: u8 = if cfg!(target_endian = "big") { 0x80 } else { 1 };

pub(super) fn decode(bytes: &[u8]) -> TcpInfo {
    let u8 = |offset| u8_at(bytes, offset);
    let u32 = |offset| u32_at(bytes, offset);
    let u64 = |offset| u64_at(bytes, offset);
    let delivery_rate = u64(160);
    TcpInfo {
        probes: u8(3),
        backoff: u8(4),
        // Before delivery_rate the byte was padding.
        delivery_rate_app_limited: delivery_rate.and(u8(7)).map(|bits| bits & APP_LIMITED != 0),
        retransmit_timeout_us: u32(8),
        ack_timeout_us: u32(12),
        send_mss: u32(16),
        receive_mss: u32(20),
        unacknowledged: u32(24),
        lost: u32(32),
        retransmitting: u32(36),
        last_sent_ms: u32(44),
        last_received_ms: u32(52),
        last_ack_ms: u32(56),
        rtt_us: u32(68),
        rtt_variation_us: u32(72),
        slow_start_threshold: u32(76).filter(|segments| *segments < NO_THRESHOLD),
        congestion_window: u32(80),
        retransmits: u32(100),
        pacing_rate: u64(104).filter(|rate| *rate != u64::MAX),
        bytes_acknowledged: u64(120),
        bytes_received: u64(128),
        segments_out: u32(136),
        segments_in: u32(140),
        not_sent: u32(144),
        // u32::MAX while there is no sample (include/linux/win_minmax.h).
        rtt_min_us: u32(148).filter(|smallest| *smallest != u32::MAX),
        delivery_rate,
        busy_us: u64(168),
        receive_window_limited_us: u64(176),
        send_buffer_limited_us: u64(184),
        bytes_sent: u64(200),
        bytes_retransmitted: u64(208),
        reordering_seen: u32(220),
        send_window: u32(228),
        receive_window: u32(232),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each byte is its own place, so that a field tells where it was read.
    fn numbered(length: u8) -> Vec<u8> {
        (0..length).collect()
    }

    fn word(at: u8) -> Option<u32> {
        Some(u32::from_ne_bytes([at, at + 1, at + 2, at + 3]))
    }

    fn long(at: u8) -> Option<u64> {
        let bytes: Vec<u8> = (at..at + 8).collect();
        Some(u64::from_ne_bytes(bytes.try_into().unwrap()))
    }

    #[test]
    fn each_field_is_read_at_its_place() {
        let info = decode(&numbered(248));
        assert_eq!((info.probes, info.backoff), (Some(3), Some(4)));
        assert_eq!(info.retransmit_timeout_us, word(8));
        assert_eq!(info.ack_timeout_us, word(12));
        assert_eq!((info.send_mss, info.receive_mss), (word(16), word(20)));
        assert_eq!((info.unacknowledged, info.lost), (word(24), word(32)));
        assert_eq!(info.retransmitting, word(36));
        assert_eq!(info.last_sent_ms, word(44));
        assert_eq!(info.last_received_ms, word(52));
        assert_eq!(info.last_ack_ms, word(56));
        assert_eq!((info.rtt_us, info.rtt_variation_us), (word(68), word(72)));
        assert_eq!(info.slow_start_threshold, word(76));
        assert_eq!(info.congestion_window, word(80));
        assert_eq!((info.retransmits, info.pacing_rate), (word(100), long(104)));
        assert_eq!(info.bytes_acknowledged, long(120));
        assert_eq!(info.bytes_received, long(128));
        assert_eq!(
            (info.segments_out, info.segments_in),
            (word(136), word(140))
        );
        assert_eq!((info.not_sent, info.rtt_min_us), (word(144), word(148)));
        assert_eq!((info.delivery_rate, info.busy_us), (long(160), long(168)));
        assert_eq!(info.receive_window_limited_us, long(176));
        assert_eq!(info.send_buffer_limited_us, long(184));
        assert_eq!(info.bytes_sent, long(200));
        assert_eq!(info.bytes_retransmitted, long(208));
        assert_eq!(info.reordering_seen, word(220));
        assert_eq!(
            (info.send_window, info.receive_window),
            (word(228), word(232))
        );
    }

    #[test]
    fn an_older_kernel_tells_less() {
        // Lengths of Linux 2.6, 4.2, 4.10 and 5.4.
        for (length, segments, rate, busy, window) in [
            (104, false, false, false, false),
            (144, true, false, false, false),
            (192, true, true, true, false),
            (232, true, true, true, true),
        ] {
            let info = decode(&numbered(length));
            assert_eq!(info.segments_in.is_some(), segments, "{length}");
            assert_eq!(info.delivery_rate.is_some(), rate, "{length}");
            assert_eq!(info.delivery_rate_app_limited.is_some(), rate, "{length}");
            assert_eq!(info.busy_us.is_some(), busy, "{length}");
            assert_eq!(info.send_window.is_some(), window, "{length}");
            assert_eq!(info.receive_window, None, "{length}");
        }
    }

    #[test]
    fn numbers_that_mean_none_are_none() {
        let mut bytes = vec![0; 248];
        bytes[76..80].copy_from_slice(&NO_THRESHOLD.to_ne_bytes());
        bytes[104..112].copy_from_slice(&[0xff; 8]);
        bytes[148..152].copy_from_slice(&[0xff; 4]);
        let info = decode(&bytes);
        assert_eq!((info.rtt_min_us, info.slow_start_threshold), (None, None));
        assert_eq!((info.pacing_rate, info.rtt_us), (None, Some(0)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_far_as_they_go(bytes: Vec<u8>) {
            let info = decode(&bytes);
            prop_assert_eq!(info.lost.is_some(), bytes.len() >= 36);
        }
    }
}
