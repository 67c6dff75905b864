//! Frames as they pass, through a kernel ring (PACKET_MMAP, TPACKET_V3).
//!
//! The kernel hands over a block of the ring when it is full or [`RETIRE`] old, so that a line
//! is late by that at most, and a flood costs few wake-ups. libpcap's immediate mode would cost
//! thirty times the CPU and lose packets at 250,000 a second.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use pcap::{Active, Capture, Linktype, Precision};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::interfaces::{INTERFACES, interfaces};
use super::program::{FilterError, Program, reason};
use crate::capture::{BY_INTERFACE, BY_KERNEL, Event, Link, Source, SourceError};
use crate::clock;
use crate::model::{Gap, Origin, Timestamp};
use crate::names::Interfaces;
use crate::selection::Selection;
use crate::stop::{Stop, wait_for};

/// Bytes kept of a packet unless asked otherwise: all, in practice (tcpdump's default).
pub const SNAPLEN: u32 = 262_144;
/// The kernel's ring unless asked otherwise: at 400,000 small packets a second, a third of a
/// second's worth.
pub const BUFFER_KIB: u32 = 32 * 1024;
/// How old a block of the ring gets before it is handed over.
const RETIRE: Duration = Duration::from_millis(20);
/// After the stop signal, frames from before it come at most this late: a block may have to
/// retire, twice if the timer had just begun.
const DRAIN: Duration = Duration::from_millis(60);
/// Frames between two looks at the stop signal, which is a system call.
const LOOK_EVERY: u32 = 256;

/// What to capture.
#[derive(Debug, Clone)]
pub struct Options {
    /// The interface; `None` is every one.
    pub interface: Option<String>,
    /// Bytes kept of a packet.
    pub snaplen: u32,
    /// The size of the kernel's ring, KiB.
    pub buffer_kib: u32,
    /// Take also what is for other machines, where the interface gets it. Every interface at
    /// once never does.
    pub promiscuous: bool,
    /// What is wanted. The kernel leaves out what cannot match; what is left is to be asked
    /// again with [`crate::capture::selects`].
    pub selection: Selection,
    /// A filter in libpcap's language, or nothing.
    pub filter: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interface: None,
            snaplen: SNAPLEN,
            buffer_kib: BUFFER_KIB,
            promiscuous: true,
            selection: Selection::everything(),
            filter: String::new(),
        }
    }
}

/// A live capture cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The right is missing (CAP_NET_RAW).
    #[error("cannot capture: permission denied")]
    Permission,
    /// There is no such interface.
    #[error("cannot capture on {name}: no such interface (there are: {})", existing.join(", "))]
    NoInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        existing: Vec<String>,
    },
    /// The filter is not understood.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Something else, in libpcap's words.
    #[error("cannot capture on {name}: {reason}")]
    Other {
        /// The interface.
        name: String,
        /// Why.
        reason: String,
    },
}

/// An open live capture. From the moment [`Live::open`] returns, nothing that passes is missed.
pub struct Live {
    capture: Capture<Active>,
    link: Link,
    stop: Stop,
    ending: Option<Ending>,
    asked: u32,
    loopback_twice: bool,
    buffer_kib: u32,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// The stop signal was seen.
#[derive(Debug, Clone, Copy)]
struct Ending {
    /// Later frames are not wanted.
    at: Timestamp,
    /// Until then an earlier frame may still come.
    until: Instant,
}

impl Live {
    /// Opens a live capture.
    ///
    /// # Errors
    /// Without the right, the interface, or a filter that libpcap understands.
    pub fn open(options: &Options, stop: Stop) -> Result<Self, OpenError> {
        let name = options.interface.as_deref().unwrap_or(INTERFACES);
        let mut capture = activate(name, options)?;
        // The second cooked header has the interface's index. An old libpcap without it keeps
        // the first, and the interface stays unknown.
        if name == INTERFACES {
            let _ = capture.set_datalink(Linktype(Link::Sll2.dlt()));
        }
        let link = Link::from_dlt(capture.get_datalink().0);
        if !options.filter.is_empty() {
            capture
                .compile(&options.filter, true)
                .map_err(|error| FilterError::new(&options.filter, &error))?;
        }
        let once = loopback_once(link);
        let whole = super::whole_filter(
            [super::selection_filter(&options.selection, link), once],
            &options.filter,
        );
        if !whole.is_empty() {
            capture
                .filter(&whole, true)
                .map_err(|error| FilterError::new(&whole, &error))?;
        }
        let capture = capture.setnonblock().map_err(|error| OpenError::Other {
            name: name.to_owned(),
            reason: reason(&error),
        })?;
        Ok(Self {
            capture,
            link,
            stop,
            ending: None,
            asked: 0,
            loopback_twice: name == LOOPBACK,
            buffer_kib: options.buffer_kib,
        })
    }

    fn look_for_stop(&mut self) {
        if self.ending.is_none() && self.stop.is_raised() {
            self.ending = Some(Ending {
                at: clock::now(),
                until: Instant::now() + DRAIN,
            });
        }
    }
}

const LOOPBACK: &str = "lo";

/// A packet on loopback passes twice, leaving and arriving. libpcap drops the one that leaves,
/// but only after it has taken its room in the ring and been counted as received or dropped;
/// so on `any` the kernel is asked for the other alone. On `lo` itself the filter cannot say
/// this reliably: blocks from before it was installed are filtered outside the kernel, where
/// an Ethernet header has no direction.
fn loopback_once(link: Link) -> Option<String> {
    if link != Link::Sll2 {
        return None;
    }
    let index = Interfaces::new().index(LOOPBACK)?;
    Some(format!("not (outbound and ifindex {index})"))
}

fn activate(name: &str, options: &Options) -> Result<Capture<Active>, OpenError> {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    Capture::from_device(name)
        .and_then(|capture| {
            capture
                .promisc(options.promiscuous && name != INTERFACES)
                .snaplen(number(options.snaplen))
                .buffer_size(number(options.buffer_kib.saturating_mul(1024)))
                .timeout(i32::try_from(RETIRE.as_millis()).unwrap_or(20))
                .precision(Precision::Nano)
                .open()
        })
        .map_err(|error| why(name, options, &error))
}

/// libpcap's errors are words; what the system refuses is asked for again.
fn why(name: &str, options: &Options, error: &pcap::Error) -> OpenError {
    if packet_socket() == Err(Errno::PERM) || packet_socket() == Err(Errno::ACCESS) {
        // A filter that cannot work with the right either is worth saying first.
        let link = if name == INTERFACES {
            Link::Sll2
        } else {
            Link::Ethernet
        };
        return match Program::compile(link, &options.filter) {
            Err(error) => error.into(),
            Ok(_) => OpenError::Permission,
        };
    }
    let existing: Vec<String> = interfaces()
        .iter()
        .map(|it| it.name.to_lossy().into_owned())
        .collect();
    if name != INTERFACES && !existing.iter().any(|other| other == name) {
        return OpenError::NoInterface {
            name: name.to_owned(),
            existing,
        };
    }
    OpenError::Other {
        name: name.to_owned(),
        reason: reason(error),
    }
}

fn packet_socket() -> Result<(), Errno> {
    rustix::net::socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )
    .map(drop)
}

impl Source for Live {
    fn link(&self) -> Link {
        self.link
    }

    fn next(&mut self) -> Result<Event<'_>, SourceError> {
        self.asked = self.asked.wrapping_add(1);
        if self.asked.is_multiple_of(LOOK_EVERY) {
            self.look_for_stop();
        }
        match self.capture.next_packet() {
            Ok(packet) => {
                let frame = super::frame(packet.header, packet.data);
                match self.ending {
                    Some(ending) if frame.time > ending.at => Ok(Event::End),
                    _ => Ok(Event::Frame(frame)),
                }
            }
            Err(pcap::Error::TimeoutExpired) => match self.ending {
                Some(ending) if Instant::now() >= ending.until => Ok(Event::End),
                _ => Ok(Event::Quiet),
            },
            Err(pcap::Error::NoMorePackets) => Ok(Event::End),
            Err(error) => Err(SourceError::Broken(reason(&error))),
        }
    }

    fn wait(&mut self, limit: Duration) -> Result<(), SourceError> {
        self.look_for_stop();
        let failed = |error: io::Error| SourceError::Wait(error);
        let frames = PollFd::new(&self.capture, PollFlags::IN);
        match self.ending {
            Some(ending) => {
                let left = ending.until.saturating_duration_since(Instant::now());
                wait_for(&mut [frames], Some(limit.min(left))).map_err(failed)?;
            }
            None => {
                let stop = self.stop.as_fd();
                let stop = PollFd::from_borrowed_fd(stop, PollFlags::IN);
                wait_for(&mut [frames, stop], Some(limit)).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn gaps(&mut self) -> Vec<Gap> {
        let Ok(stats) = self.capture.stats() else {
            return vec![Gap::uncounted(
                Origin::Capture,
                "the kernel does not tell how many packets it dropped",
            )];
        };
        // Both copies of a packet count; which of them were lost cannot be told.
        let dropped = if self.loopback_twice {
            stats.dropped.div_ceil(2)
        } else {
            stats.dropped
        };
        let mut gaps = Vec::new();
        if dropped > 0 {
            gaps.push(Gap::counted(
                Origin::Capture,
                format!(
                    "{BY_KERNEL}: its buffer of {} KiB was full",
                    self.buffer_kib
                ),
                dropped.into(),
            ));
        }
        if stats.if_dropped > 0 {
            gaps.push(Gap::counted(
                Origin::Capture,
                BY_INTERFACE,
                stats.if_dropped.into(),
            ));
        }
        gaps
    }
}
