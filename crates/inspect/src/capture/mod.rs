//! Frames <-> bytes: live and file sources, link and IP decoding, pcap and pcapng files. Knows no
//! inode.
//!
//! A [`Source`] lends one frame at a time out of the kernel's or libpcap's own buffer, and
//! [`decode`] looks at it without copying or allocating: at 400,000 packets a second there are
//! 2.5 µs for each, so nothing here owns what it can borrow.
//!
//! A program that captures within itself:
//!
//! ```no_run
//! use std::time::Duration;
//! use inspect::capture::{Event, Live, Options, Source, decode, selects};
//! use inspect::selection::{Selection, Test};
//! use inspect::stop::Stop;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let selection = Selection::Test(Test::Port(2345));
//! let options = Options { selection: selection.clone(), ..Options::default() };
//! let stop = Stop::new()?;
//! // From here on nothing that passes is missed: whoever talks may begin.
//! let mut live = Live::open(&options, stop.clone())?;
//! let capturing = std::thread::spawn(move || {
//!     let mut said = Vec::new();
//!     let link = live.link();
//!     loop {
//!         match live.next()? {
//!             Event::Frame(frame) => {
//!                 let packet = decode(link, &frame);
//!                 if selects(&selection, &packet) == Some(true)
//!                     && let Some(segment) = packet.segment()
//!                 {
//!                     said.push((packet.time, segment.source, segment.payload.to_vec()));
//!                 }
//!             }
//!             Event::Quiet => live.wait(Duration::from_secs(1))?,
//!             // Only files have them.
//!             Event::Comment(_) | Event::Remark(_) => {}
//!             // Every frame from before the stop signal has been given.
//!             Event::End => return Ok::<_, inspect::capture::SourceError>((said, live.gaps())),
//!         }
//!     }
//! });
//! // … the conversation …
//! stop.raise();
//! # let _ = capturing;
//! # Ok(())
//! # }
//! ```

mod batch;
mod conversations;
mod copies;
#[cfg(test)]
pub(crate) mod crafted;
mod datagrams;
mod decode;
mod fields;
mod filter;
mod fragments;
mod ip;
mod link;
mod options;
mod packet;
mod pcap_file;
mod pcapng;
mod source;
mod standing;
#[cfg(test)]
mod tests;
mod transport;

pub use conversations::{Conversation, Conversations, Direction, Opening, Relative, Seen};
pub use copies::Copies;
pub use datagrams::{Datagrams, Whole};
pub use decode::decode;
pub use filter::{answer, kernel_filter, selects};
pub use fragments::Fragments;
pub use link::Link;
pub use options::{SackBlocks, TcpOption, TcpOptions, TcpValue, mptcp_word};
pub use packet::{
    Arp, Content, Datagram, Fault, Flags, Flow, Fragment, Icmp, Llc, Packet, Quoted, Segment, Tcp,
    Vlans,
};
pub use pcap_file::Writer;
pub use pcapng::{Described, PcapngWriter, Program as WritingProgram};
pub(crate) use source::plain;
pub use source::{
    BUFFER_KIB, File, FileError, FilterError, INTERFACES, Interface, Live, OpenError, Options,
    Program, SNAPLEN, interfaces,
};

use std::io;

use crate::model::{ForeignText, Gap, Timestamp};

/// What was on the wire, as far as it was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When the kernel saw it, on the wall clock.
    pub time: Timestamp,
    /// The captured bytes, from the link header on.
    pub bytes: &'a [u8],
    /// How many bytes it had on the wire; more than `bytes` when the snapshot length cut it.
    pub original_length: u32,
    /// What a file says of it beside its bytes.
    pub recorded: Recorded<'a>,
}

/// What a pcapng file says of a frame beside its bytes; nothing for frames from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded<'a> {
    /// What it begins with, where interfaces differ; else what the source says.
    pub link: Option<Link>,
    /// Where it was captured.
    pub interface: Option<&'a RecordedInterface>,
    /// Which way it went.
    pub direction: Option<Flow>,
}

/// An interface of a pcapng file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedInterface {
    /// Counts through the file, over all its sections.
    pub id: u32,
    /// Its name, where the file has it.
    pub name: Option<ForeignText>,
}

/// What a source answers when asked for the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A frame. It is lent: gone when the source is asked again.
    Frame(Frame<'a>),
    /// A comment that a file has on the next of its frames, which may be one that is left out.
    /// Whoever made the file chose it. It is lent as frames are.
    Comment(&'a [u8]),
    /// A comment that a file has behind some of its frames, likewise.
    Remark(&'a [u8]),
    /// None is there now; [`Source::wait`] waits for one.
    Quiet,
    /// There will be no more: the file is read, or the stop signal was raised and every frame
    /// from before has been given.
    End,
}

/// How reasons for what the kernel dropped begin.
pub(crate) const BY_KERNEL: &str = "packets dropped by the kernel";
/// And for what did not get as far.
pub(crate) const BY_INTERFACE: &str = "packets dropped by the interface or its driver";

/// A source broke off.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// libpcap's word for it: a cut file, an interface that went away.
    #[error("{0}")]
    Broken(String),
    /// poll(2) failed.
    #[error("cannot wait for packets: {0}")]
    Wait(#[source] io::Error),
}

/// Something that yields frames: an interface, or a file, which is the test double of one. The
/// stop signal is given when it is opened.
pub trait Source {
    /// What the frames begin with.
    fn link(&self) -> Link;

    /// By what means the frames come, as words that follow `packets`.
    fn origin(&self) -> &'static str {
        "by libpcap"
    }

    /// The next frame, without waiting. Asking costs no system call while frames are there.
    ///
    /// # Errors
    /// When the source breaks off. What was given before remains true.
    fn next(&mut self) -> Result<Event<'_>, SourceError>;

    /// Waits until a frame may be there, the stop signal is raised, or `limit` is over.
    ///
    /// # Errors
    /// What poll(2) answers.
    fn wait(&mut self, limit: std::time::Duration) -> Result<(), SourceError>;

    /// What was lost so far, and why. Complete only after [`Event::End`].
    fn gaps(&mut self) -> Vec<Gap>;
}
