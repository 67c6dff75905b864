//! What `-o`, `-m` and `-i` tell of a socket, in words and readable units.

use std::fmt::Write;

use super::queues::grouped;
use crate::model::State;
use crate::render::table::Note;
use crate::render::{Charset, Escaped, Style, facts};
use crate::sockets::{Memory, Socket, TcpInfo, Timer, TimerKind};

/// The details of a socket, a line each.
///
/// Wrapped to `room` columns.
pub(super) fn notes(socket: &Socket, charset: Charset, room: Option<usize>) -> Vec<Note> {
    lines(socket, charset)
        .iter()
        .flat_map(|line| facts::wrapped(line, room))
        .map(|text| Note {
            text,
            style: Some(Style::Dim),
        })
        .collect()
}

/// The same on one line.
pub(super) fn on_one_line(out: &mut String, socket: &Socket) {
    out.push_str(&lines(socket, Charset::Ascii).join("; "));
}

fn lines(socket: &Socket, charset: Charset) -> Vec<String> {
    let Some(detail) = &socket.detail else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if let Some(timer) = detail.timer
        && timer.kind != TimerKind::Off
    {
        let mut line = String::from("timer ");
        self::timer(&mut line, timer);
        lines.push(line);
    }
    if let Some(memory) = &detail.memory {
        lines.push(self::memory(memory));
    }
    let mut line = String::new();
    if let Some(name) = &detail.congestion {
        let _ = write!(line, "{}", Escaped::name(name, charset));
    }
    // A listener has the record too, and nothing in it means anything yet.
    if let Some(tcp) = detail
        .tcp
        .as_ref()
        .filter(|_| socket.state != State::Listen)
    {
        let mut parts = Parts(vec![std::mem::take(&mut line)]);
        path(&mut parts, tcp, charset);
        lines.push(parts.join());
        let mut parts = Parts(Vec::new());
        traffic(&mut parts, tcp);
        lines.push(parts.join());
        let mut parts = Parts(Vec::new());
        trouble(&mut parts, tcp);
        lines.push(parts.join());
    } else {
        lines.push(line);
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// `keepalive, in 1.2 s, 3 retransmits`.
pub(super) fn timer(out: &mut String, timer: Timer) {
    match timer.kind {
        TimerKind::Off => {
            out.push_str("off");
            return;
        }
        TimerKind::Retransmit => out.push_str("retransmit"),
        TimerKind::Keepalive => out.push_str("keepalive"),
        TimerKind::TimeWait => out.push_str("TIME_WAIT ends"),
        TimerKind::Persist => out.push_str("window probe"),
        TimerKind::Other(number) => {
            let _ = write!(out, "number {number}");
        }
    }
    let _ = write!(
        out,
        " in {}",
        duration(
            u64::from(timer.expires_ms).saturating_mul(1_000),
            Charset::Ascii
        )
    );
    match timer.retransmits {
        0 => {}
        1 => out.push_str(", tried 1 time"),
        more => {
            let _ = write!(out, ", tried {more} times");
        }
    }
}

fn memory(memory: &Memory) -> String {
    let mut parts = Parts(Vec::new());
    let of = |used: Option<u32>, limit: Option<u32>| match (used, limit) {
        (Some(used), Some(limit)) => Some(format!(
            "{} of {}",
            grouped(used.into()),
            size(limit.into())
        )),
        (Some(used), None) => Some(grouped(used.into())),
        _ => None,
    };
    parts.add(
        "receive buffer",
        of(memory.receive_used, memory.receive_limit),
    );
    parts.add("send buffer", of(memory.write_queued, memory.send_limit));
    parts.add(
        "in flight",
        memory.send_used.filter(some).map(|it| size(it.into())),
    );
    parts.add(
        "reserved",
        memory
            .forward_allocated
            .filter(some)
            .map(|it| size(it.into())),
    );
    parts.add(
        "options",
        memory.options.filter(some).map(|it| size(it.into())),
    );
    parts.add(
        "backlog",
        memory.backlog.filter(some).map(|it| size(it.into())),
    );
    parts.add(
        "dropped",
        memory.drops.filter(some).map(|it| grouped(it.into())),
    );
    parts.join()
}

fn some(number: &u32) -> bool {
    *number != 0
}

/// What the path is like.
fn path(parts: &mut Parts, tcp: &TcpInfo, charset: Charset) {
    if let Some(rtt) = tcp.rtt_us.filter(some) {
        let mut text = format!("rtt {}", duration(rtt.into(), charset));
        if let Some(variation) = tcp.rtt_variation_us {
            let plus_minus = if charset == Charset::Utf8 { "±" } else { "+-" };
            let _ = write!(text, " {plus_minus}{}", duration(variation.into(), charset));
        }
        if let Some(least) = tcp.rtt_min_us.filter(|it| *it != u32::MAX) {
            let _ = write!(text, " (least {})", duration(least.into(), charset));
        }
        parts.push(text);
    }
    parts.add(
        "rto",
        tcp.retransmit_timeout_us
            .filter(some)
            .map(|it| duration(it.into(), charset)),
    );
    parts.add("mss", tcp.send_mss.filter(some).map(|it| it.to_string()));
    parts.add("cwnd", tcp.congestion_window.map(|it| it.to_string()));
    parts.add(
        "ssthresh",
        tcp.slow_start_threshold.map(|it| it.to_string()),
    );
    parts.add("send window", tcp.send_window.map(|it| size(it.into())));
    parts.add(
        "receive window",
        tcp.receive_window.map(|it| size(it.into())),
    );
}

/// How much went over it, and how fast.
fn traffic(parts: &mut Parts, tcp: &TcpInfo) {
    parts.add("sent", tcp.bytes_sent.filter(|it| *it > 0).map(size));
    // The kernel counts what SYN and FIN take of the sequence (net/ipv4/tcp_input.c
    // `tcp_snd_una_update`): nobody has sent those bytes.
    let most = tcp.bytes_sent.unwrap_or(u64::MAX);
    parts.add(
        "acknowledged",
        tcp.bytes_acknowledged
            .map(|it| it.min(most))
            .filter(|it| *it > 0)
            .map(size),
    );
    parts.add(
        "received",
        tcp.bytes_received.filter(|it| *it > 0).map(size),
    );
    parts.add(
        "delivery",
        tcp.delivery_rate.filter(|it| *it > 0).map(|rate| {
            let by = match tcp.delivery_rate_app_limited {
                Some(true) => " (as much as the program sent)",
                _ => "",
            };
            format!("{}{by}", rate_words(rate))
        }),
    );
    parts.add("pacing", tcp.pacing_rate.map(rate_words));
    let busy = tcp.busy_us.filter(|it| *it > 0);
    if let Some(busy) = busy {
        parts.push(format!("busy {}", duration(busy, Charset::Ascii)));
        let share = |part: Option<u64>| {
            part.filter(|part| *part > 0)
                .map(|part| format!("{}% of it", part.saturating_mul(100) / busy))
        };
        parts.add(
            "stopped by the peer's window",
            share(tcp.receive_window_limited_us),
        );
        parts.add(
            "stopped by the send buffer",
            share(tcp.send_buffer_limited_us),
        );
    }
}

/// What does not go well.
fn trouble(parts: &mut Parts, tcp: &TcpInfo) {
    parts.add(
        "retransmitted",
        tcp.retransmits.filter(some).map(|segments| {
            let bytes = tcp
                .bytes_retransmitted
                .filter(|it| *it > 0)
                .map(|it| format!(" ({})", size(it)))
                .unwrap_or_default();
            format!("{}{bytes}", counted(segments, "segment"))
        }),
    );
    parts.add(
        "lost",
        tcp.lost.filter(some).map(|it| counted(it, "segment")),
    );
    parts.add(
        "unacknowledged",
        tcp.unacknowledged
            .filter(some)
            .map(|it| counted(it, "segment")),
    );
    parts.add(
        "not sent yet",
        tcp.not_sent.filter(some).map(|it| size(it.into())),
    );
    parts.add(
        "time-outs in a row",
        tcp.backoff.filter(|it| *it > 0).map(|it| it.to_string()),
    );
    parts.add(
        "unanswered probes",
        tcp.probes.filter(|it| *it > 0).map(|it| it.to_string()),
    );
}

struct Parts(Vec<String>);

impl Parts {
    fn push(&mut self, text: String) {
        self.0.push(text);
    }

    fn add(&mut self, name: &str, value: Option<String>) {
        self.0.extend(value.map(|value| format!("{name} {value}")));
    }

    fn join(mut self) -> String {
        self.0.retain(|part| !part.is_empty());
        self.0.join(", ")
    }
}

fn counted(count: u32, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(count.into()))
}

/// Microseconds in the largest unit that leaves a number before the point: `21 µs`, `1.2 ms`.
pub(super) fn duration(micros: u64, charset: Charset) -> String {
    let micro = if charset == Charset::Utf8 {
        "µs"
    } else {
        "us"
    };
    match micros {
        0..1_000 => format!("{micros} {micro}"),
        1_000..1_000_000 => tenths(micros, 1_000, "ms"),
        _ => tenths(micros, 1_000_000, "s"),
    }
}

/// Bytes: exact below 10,000, else in binary units.
pub(super) fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match bytes {
        1 => "1 byte".to_owned(),
        0..10_000 => format!("{} bytes", grouped(bytes)),
        10_000..MIB => tenths(bytes, KIB, "KiB"),
        MIB..GIB => tenths(bytes, MIB, "MiB"),
        _ => tenths(bytes, GIB, "GiB"),
    }
}

/// Bytes a second, in bits: as links are measured.
fn rate_words(bytes: u64) -> String {
    let bits = bytes.saturating_mul(8);
    match bits {
        0..10_000 => format!("{} bit/s", grouped(bits)),
        10_000..1_000_000 => tenths(bits, 1_000, "kbit/s"),
        1_000_000..1_000_000_000 => tenths(bits, 1_000_000, "Mbit/s"),
        _ => tenths(bits, 1_000_000_000, "Gbit/s"),
    }
}

/// With one digit after the point below ten, none from there on.
fn tenths(value: u64, unit: u64, name: &str) -> String {
    let whole = value / unit;
    let tenth = value % unit * 10 / unit;
    if whole < 10 && tenth > 0 {
        format!("{whole}.{tenth} {name}")
    } else {
        format!("{} {name}", grouped(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_readable() {
        for (micros, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_250, "1.2 ms"),
            (21_900, "21 ms"),
            (3_000_000, "3 s"),
            (4_500_000, "4.5 s"),
        ] {
            assert_eq!(duration(micros, Charset::Utf8), text);
        }
        for (bytes, text) in [
            (1, "1 byte"),
            (9_999, "9,999 bytes"),
            (16_384, "16 KiB"),
            (6_291_456, "6 MiB"),
            (u64::MAX, "17,179,869,183 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(rate_words(1_250_000), "10 Mbit/s");
    }

    #[test]
    fn a_timer_says_when_and_how_often() {
        let mut text = String::new();
        timer(
            &mut text,
            Timer {
                kind: TimerKind::Retransmit,
                expires_ms: 1_200,
                retransmits: 3,
            },
        );
        assert_eq!(text, "retransmit in 1.2 s, tried 3 times");
    }
}
