//! What `-o`, `-m`, `-i` and `-e` add to a socket record.

use serde::Serialize;

use crate::sockets::{Detail, Memory, TcpInfo, Timer};

/// The details that were asked for and told; the others are left out.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct DetailRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    timer: Option<TimerRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<TcpRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v6_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shutdown: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
struct TimerRecord {
    kind: &'static str,
    expires_ms: u32,
    retransmits: u8,
}

#[derive(Debug, Clone, Serialize)]
struct MemoryRecord {
    receive_used: Option<u32>,
    receive_limit: Option<u32>,
    send_used: Option<u32>,
    send_limit: Option<u32>,
    forward_allocated: Option<u32>,
    write_queued: Option<u32>,
    options: Option<u32>,
    backlog: Option<u32>,
    drops: Option<u32>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct TcpRecord {
    congestion: Option<String>,
    rtt_us: Option<u32>,
    rtt_variation_us: Option<u32>,
    rtt_min_us: Option<u32>,
    retransmit_timeout_us: Option<u32>,
    ack_timeout_us: Option<u32>,
    send_mss: Option<u32>,
    receive_mss: Option<u32>,
    congestion_window: Option<u32>,
    slow_start_threshold: Option<u32>,
    unacknowledged: Option<u32>,
    lost: Option<u32>,
    retransmitting: Option<u32>,
    retransmits: Option<u32>,
    bytes_retransmitted: Option<u64>,
    bytes_sent: Option<u64>,
    bytes_acknowledged: Option<u64>,
    bytes_received: Option<u64>,
    segments_out: Option<u32>,
    segments_in: Option<u32>,
    last_sent_ms: Option<u32>,
    last_received_ms: Option<u32>,
    last_ack_ms: Option<u32>,
    pacing_rate: Option<u64>,
    delivery_rate: Option<u64>,
    delivery_rate_app_limited: Option<bool>,
    busy_us: Option<u64>,
    receive_window_limited_us: Option<u64>,
    send_buffer_limited_us: Option<u64>,
    not_sent: Option<u32>,
    send_window: Option<u32>,
    receive_window: Option<u32>,
    reordering_seen: Option<u32>,
    backoff: Option<u8>,
    probes: Option<u8>,
}

impl From<&Detail> for DetailRecord {
    fn from(detail: &Detail) -> Self {
        let congestion = detail
            .congestion
            .as_ref()
            .map(|name| name.to_lossy().into_owned());
        let tcp = match (&detail.tcp, congestion) {
            (Some(tcp), congestion) => Some(TcpRecord {
                congestion,
                ..TcpRecord::from(&**tcp)
            }),
            (None, Some(congestion)) => Some(TcpRecord {
                congestion: Some(congestion),
                ..TcpRecord::default()
            }),
            (None, None) => None,
        };
        Self {
            timer: detail.timer.map(Into::into),
            memory: detail.memory.map(Into::into),
            tcp,
            v6_only: detail.v6_only,
            mark: detail.mark,
            cgroup_id: detail.cgroup.map(|id| id.to_string()),
            shutdown: detail.shutdown.and_then(|shutdown| {
                match (shutdown.receive, shutdown.send) {
                    (true, true) => Some("both"),
                    (true, false) => Some("receive"),
                    (false, true) => Some("send"),
                    (false, false) => None,
                }
            }),
        }
    }
}

impl From<Timer> for TimerRecord {
    fn from(timer: Timer) -> Self {
        Self {
            kind: timer.kind.word(),
            expires_ms: timer.expires_ms,
            retransmits: timer.retransmits,
        }
    }
}

impl From<Memory> for MemoryRecord {
    fn from(memory: Memory) -> Self {
        Self {
            receive_used: memory.receive_used,
            receive_limit: memory.receive_limit,
            send_used: memory.send_used,
            send_limit: memory.send_limit,
            forward_allocated: memory.forward_allocated,
            write_queued: memory.write_queued,
            options: memory.options,
            backlog: memory.backlog,
            drops: memory.drops,
        }
    }
}

impl From<&TcpInfo> for TcpRecord {
    fn from(tcp: &TcpInfo) -> Self {
        Self {
            congestion: None,
            rtt_us: tcp.rtt_us,
            rtt_variation_us: tcp.rtt_variation_us,
            rtt_min_us: tcp.rtt_min_us,
            retransmit_timeout_us: tcp.retransmit_timeout_us,
            ack_timeout_us: tcp.ack_timeout_us,
            send_mss: tcp.send_mss,
            receive_mss: tcp.receive_mss,
            congestion_window: tcp.congestion_window,
            slow_start_threshold: tcp.slow_start_threshold,
            unacknowledged: tcp.unacknowledged,
            lost: tcp.lost,
            retransmitting: tcp.retransmitting,
            retransmits: tcp.retransmits,
            bytes_retransmitted: tcp.bytes_retransmitted,
            bytes_sent: tcp.bytes_sent,
            bytes_acknowledged: tcp.bytes_acknowledged,
            bytes_received: tcp.bytes_received,
            segments_out: tcp.segments_out,
            segments_in: tcp.segments_in,
            last_sent_ms: tcp.last_sent_ms,
            last_received_ms: tcp.last_received_ms,
            last_ack_ms: tcp.last_ack_ms,
            pacing_rate: tcp.pacing_rate,
            delivery_rate: tcp.delivery_rate,
            delivery_rate_app_limited: tcp.delivery_rate_app_limited,
            busy_us: tcp.busy_us,
            receive_window_limited_us: tcp.receive_window_limited_us,
            send_buffer_limited_us: tcp.send_buffer_limited_us,
            not_sent: tcp.not_sent,
            send_window: tcp.send_window,
            receive_window: tcp.receive_window,
            reordering_seen: tcp.reordering_seen,
            backoff: tcp.backoff,
            probes: tcp.probes,
        }
    }
}
