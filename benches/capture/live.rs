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

/// Sends small numbered messages at a rate, or as fast as it goes with 0, and prints how many.
///
/// A process that asks the kernel for each message reaches some 350,000 a second here and takes a
/// whole processor for it. So the kernel is handed many at once and told to cut them
/// (`UDP_SEGMENT`, udp(7)); [`cut_before_the_wire`] sees to it that every one of them passes the
/// interface as a packet of its own.
pub(crate) fn send(port: u16, seconds: u64, rate: u64) -> anyhow::Result<()> {
    // Somebody is there, and reads nothing: an answer for each that nobody wants would be
    // packets too.
    let deaf = UdpSocket::bind(("127.0.0.1", port))?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(deaf.local_addr()?)?;
    cut(&socket)?;
    let mut messages = [*b"message 0000000000 hello"; BATCH];
    let (begin, whole) = (Instant::now(), Duration::from_secs(seconds));
    let mut sent = 0u64;
    loop {
        let passed = begin.elapsed();
        if passed >= whole {
            break;
        }
        let due = u64::try_from(passed.as_micros())?.saturating_mul(rate) / 1_000_000;
        if rate > 0 && sent > due {
            std::thread::sleep(Duration::from_micros(50));
            continue;
        }
        for (number, message) in (sent..).zip(&mut messages) {
            let mut rest = number;
            for digit in message[8..18].iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10)?;
                rest /= 10;
            }
        }
        let bytes = socket.send(messages.as_flattened())?;
        sent += u64::try_from(bytes / LENGTH)?;
    }
    writeln!(std::io::stdout(), "{sent}")?;
    Ok(())
}

/// Messages that are handed over at once; the kernel cuts at most 128 (`UDP_MAX_SEGMENTS`).
const BATCH: usize = 64;
const LENGTH: usize = 24;

/// Has the kernel cut what is sent into messages.
#[expect(unsafe_code, reason = "only setsockopt says so")]
fn cut(socket: &UdpSocket) -> anyhow::Result<()> {
    let length = libc::c_int::try_from(LENGTH)?;
    // SAFETY: the value is an int that outlives the call, and its size is told.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            std::ptr::from_ref(&length).cast(),
            libc::socklen_t::try_from(size_of::<libc::c_int>())?,
        )
    };
    if done < 0 {
        return Err(std::io::Error::last_os_error()).context("cannot have messages cut");
    }
    Ok(())
}

/// Has the loopback of this network cut them before they are packets: it would take them whole.
fn cut_before_the_wire() -> anyhow::Result<()> {
    let done = Command::new("ethtool")
        .args(["-K", "lo", "tx-udp-segmentation", "off"])
        .status()
        .context("cannot run ethtool")?;
    if !done.success() {
        bail!("lo takes messages whole: ethtool failed");
    }
    Ok(())
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
    cut_before_the_wire()?;
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
        .args(["--rate", &options.rate.to_string()])
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
