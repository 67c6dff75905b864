//! The packets of the conversation, captured on loopback by a thread of this process.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use inspect::capture::{Content, Event, Live, Options, Source, decode, selects};
use inspect::selection::{Selection, Test};
use inspect::stop::Stop;
use inspect::timeline::SegmentSeen;

use super::pages::Seen;

/// Bytes of a payload that the picture has room for, and more.
const SHOWN: usize = 64;

/// An open capture. Nothing that passes is missed from here on.
#[derive(Debug)]
pub(super) struct Wire {
    live: Live,
    stop: Stop,
    selection: Selection,
    port: u16,
}

/// A capture under way.
#[derive(Debug)]
pub(super) struct Capturing {
    stop: Stop,
    thread: JoinHandle<anyhow::Result<Captured>>,
}

/// What was captured.
#[derive(Debug)]
pub(super) struct Captured {
    /// The packets, in the kernel's order.
    pub(super) seen: Vec<Seen>,
    /// The same for the timeline.
    pub(super) segments: Vec<SegmentSeen>,
    /// How many are known to be missing.
    pub(super) lost: u64,
}

impl Wire {
    /// Opens a capture of what concerns `port`, without a thread yet.
    pub(super) fn open(port: u16) -> anyhow::Result<Self> {
        let stop = Stop::new().context("cannot make a stop signal")?;
        let selection = Selection::Test(Test::Port(port));
        let options = Options {
            interface: Some("lo".to_owned()),
            selection: selection.clone(),
            ..Options::default()
        };
        let live = Live::open(&options, stop.clone())?;
        Ok(Self {
            live,
            stop,
            selection,
            port,
        })
    }

    /// Collects packets until it is closed.
    pub(super) fn start(mut self) -> Capturing {
        let stop = self.stop.clone();
        let thread =
            std::thread::spawn(move || collect(&mut self.live, &self.selection, self.port));
        Capturing { stop, thread }
    }
}

impl Capturing {
    /// Ends the capture; what was sent before is in it.
    pub(super) fn close(self) -> anyhow::Result<Captured> {
        self.stop.raise();
        self.thread
            .join()
            .map_err(|_| anyhow!("the capture broke off"))?
    }
}

fn collect(source: &mut dyn Source, selection: &Selection, port: u16) -> anyhow::Result<Captured> {
    let link = source.link();
    let mut seen = Vec::new();
    let mut segments = Vec::new();
    loop {
        match source.next()? {
            Event::Frame(frame) => {
                let packet = decode(link, &frame);
                if selects(selection, &packet) == Some(true)
                    && let Content::Segment(segment) = &packet.content
                {
                    segments.extend(SegmentSeen::of(&packet, SHOWN));
                    let flags = segment.tcp.map(|tcp| tcp.flags).unwrap_or_default();
                    let flags: Vec<&str> = flags.words().collect();
                    seen.push(Seen {
                        time: frame.time,
                        by_client: segment.destination.port == port,
                        flags: flags.join(" "),
                        payload: segment.payload.to_vec(),
                    });
                }
            }
            Event::Comment(_) | Event::Remark(_) => {}
            Event::Quiet => source.wait(Duration::from_secs(1))?,
            Event::End => break,
        }
    }
    let lost = source.gaps().iter().filter_map(|gap| gap.count).sum();
    Ok(Captured {
        seen,
        segments,
        lost,
    })
}
