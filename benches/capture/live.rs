//! Live packets, flat out: nothing may be lost, or it must be said.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::load::private_network;
use crate::measure::{Cost, reap};
use crate::{Options, Work, say, yes};

/// The port that is sent to.
const PORT: u16 = 2345;
/// Messages a second that are at least to be sent for a measurement to count.
const RATE: u64 = 400_000;

/// Sends small numbered messages as fast as it goes, and prints how many.
pub(crate) fn send(port: u16, seconds: u64) -> anyhow::Result<()> {
    // Somebody is there, and reads nothing: an answer for each that nobody wants would be
    // packets too.
    let deaf = UdpSocket::bind(("127.0.0.1", port))?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(deaf.local_addr()?)?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut sent = 0u64;
    let mut messages = [*b"message 0000000000 hello"; BATCH];
    while Instant::now() < until {
        for _ in 0..16 {
            for (number, message) in (sent..).zip(&mut messages) {
                let mut rest = number;
                for digit in message[8..18].iter_mut().rev() {
                    *digit = b'0' + u8::try_from(rest % 10)?;
                    rest /= 10;
                }
            }
            sent += send_all(&socket, &mut messages)?;
        }
    }
    writeln!(std::io::stdout(), "{sent}")?;
    Ok(())
}

/// Messages that are handed over at once.
const BATCH: usize = 32;
const LENGTH: usize = 24;

/// Sends the first of some messages, as many as the kernel takes; gives how many.
#[expect(
    unsafe_code,
    reason = "only sendmmsg hands over several messages at once"
)]
fn send_all(socket: &UdpSocket, messages: &mut [[u8; LENGTH]; BATCH]) -> anyhow::Result<u64> {
    let mut parts = messages.each_mut().map(|message| libc::iovec {
        iov_base: message.as_mut_ptr().cast(),
        iov_len: LENGTH,
    });
    let mut headers = parts.each_mut().map(|part| {
        // SAFETY: a mmsghdr is numbers and pointers, of which all zeros is one.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header
    });
    // SAFETY: the headers point to parts and these to messages, all of which outlive the call.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            u32::try_from(BATCH)?,
            0,
        )
    };
    u64::try_from(sent).map_err(|_| std::io::Error::last_os_error().into())
}

/// What came of one capture.
struct Seen {
    sent: u64,
    /// Lines in the text, or packets in the file.
    shown: u64,
    /// Drops that were reported.
    dropped: u64,
    cost: Cost,
}

pub(crate) fn run_all(
    options: &Options,
    inspect: &Path,
    works: &[Work],
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let (live, write) = (works.contains(&Work::Live), works.contains(&Work::Write));
    if !live && !write {
        return Ok(());
    }
    private_network().context("cannot make a network namespace")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("written");
    let path = file.display().to_string();
    writeln!(
        out,
        "\n| live, {} s flat out on lo | sent a second | sent | shown | reported drops | all \
         accounted for? | none lost? | CPU |",
        options.seconds
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    let port = PORT.to_string();
    let mut row = |name: &str, seen: &Seen, is_ours: bool| -> anyhow::Result<()> {
        let whole = seen.sent == seen.shown + seen.dropped;
        let judged = |met: bool| if is_ours { yes(met) } else { "-" };
        let rate = seen.sent / options.seconds.max(1);
        let slow = if rate < RATE { " (too few)" } else { "" };
        writeln!(
            out,
            "| {name} | {rate}{slow} | {} | {} | {} | {} | {} | {:.2} s |",
            seen.sent,
            seen.shown,
            seen.dropped,
            judged(whole),
            judged(seen.dropped == 0 && whole),
            seen.cost.cpu.as_secs_f64(),
        )?;
        Ok(())
    };
    let mut ratios = Vec::new();
    for round in 1..=options.rounds {
        if live {
            let name = "inspect capture > FILE, owners on";
            say(&format!("{round}/{} {name}", options.rounds));
            let mut command = Command::new(inspect);
            command.args(["capture", "-i", "lo", "--port", &port]);
            let seen = watch(
                options,
                command.stdout(File::create(&file)?),
                &file,
                Kind::Text,
            )?;
            row(name, &seen, true)?;
        }
        if write {
            let name = "inspect capture -w";
            say(&format!("{round}/{} {name}", options.rounds));
            let mut command = Command::new(inspect);
            command.args(["capture", "-i", "lo", "--port", &port, "-w", &path]);
            let ours = watch(options, &mut command, &file, Kind::Packets)?;
            row(name, &ours, true)?;
            let name = "tcpdump -w";
            say(&format!("{round}/{} {name}", options.rounds));
            let mut command = Command::new("tcpdump");
            // Its own buffer of 2 MiB would lose: ours for both.
            let words = ["-i", "lo", "-n", "-B", "32768", "-Z", "root", "-w", &path];
            command.args(words).args(["port", &port]);
            let theirs = watch(options, &mut command, &file, Kind::Packets)?;
            row(name, &theirs, false)?;
            ratios.push(ours.cost.cpu.as_secs_f64() / theirs.cost.cpu.as_secs_f64());
        }
    }
    if let Some(ratio) = crate::measure::Spread::of(ratios) {
        writeln!(
            out,
            "\nCPU of inspect capture -w to that of tcpdump -w: {:.2} ({:.2}-{:.2}), at most 2: {}",
            ratio.median,
            ratio.least,
            ratio.most,
            yes(ratio.median <= 2.0)
        )?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Packets,
}

fn watch(
    options: &Options,
    command: &mut Command,
    file: &Path,
    kind: Kind,
) -> anyhow::Result<Seen> {
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let sent = sending(options, &mut child);
    // What is still in the ring has its time.
    std::thread::sleep(Duration::from_secs(1));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let mut messages = BufReader::new(child.stderr.take().context("no messages")?);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut messages, &mut text)?;
    let cost = reap(&child)?;
    let sent = sent?;
    let shown = match kind {
        Kind::Text => BufReader::new(File::open(file)?).split(b'\n').count() as u64,
        Kind::Packets => packets(file)?,
    };
    std::fs::remove_file(file)?;
    Ok(Seen {
        sent,
        shown,
        dropped: dropped(&text),
        cost,
    })
}

/// Sends when the capture listens; gives how many.
fn sending(options: &Options, child: &mut Child) -> anyhow::Result<u64> {
    let until = Instant::now() + Duration::from_secs(20);
    while !listens(child.id())? {
        if Instant::now() > until || child.try_wait()?.is_some() {
            bail!("it does not capture");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    let output = Command::new(std::env::current_exe()?)
        .args(["--send-to", &PORT.to_string()])
        .args(["--seconds", &options.seconds.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().parse().with_context(|| format!("{output:?}"))
}

/// Whether a process has a packet socket.
fn listens(pid: u32) -> anyhow::Result<bool> {
    let sockets = std::fs::read_to_string(format!("/proc/{pid}/net/packet"))?;
    Ok(sockets.lines().count() > 1)
}

/// `1,234 packets dropped by the kernel…`, `1234 packets dropped by kernel`.
fn dropped(messages: &str) -> u64 {
    messages
        .lines()
        .filter(|line| line.contains("dropped by"))
        .filter_map(|line| {
            let number: String = line
                .split(' ')
                .next()?
                .chars()
                .filter(char::is_ascii_digit)
                .collect();
            number.parse::<u64>().ok()
        })
        .sum()
}

/// How many packets a pcap file has.
fn packets(file: &Path) -> anyhow::Result<u64> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(file)?);
    let mut header = [0u8; 24];
    std::io::Read::read_exact(&mut file, &mut header)?;
    let mut count = 0;
    let mut record = [0u8; 16];
    while !file.fill_buf()?.is_empty() {
        std::io::Read::read_exact(&mut file, &mut record)?;
        let length = u32::from_le_bytes([record[8], record[9], record[10], record[11]]);
        std::io::copy(
            &mut std::io::Read::take(&mut file, length.into()),
            &mut std::io::sink(),
        )?;
        count += 1;
    }
    Ok(count)
}
