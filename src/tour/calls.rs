//! The calls of both ends, as the kernel tells them, and all of the talk in one picture.

use anyhow::Context;
use inspect::model::NetworkNamespace;
use inspect::timeline::{Conversation, SegmentSeen, Timeline};
use inspect::trace::{Event, Kernel, RING, Request, Source, Touch};

/// Calls on sockets of the port, from now on.
#[derive(Debug)]
pub(super) struct Calls {
    kernel: Kernel,
    port: u16,
}

impl Calls {
    /// Has the kernel tell of them. The error says in words why it does not.
    pub(super) fn open(port: u16, network: Option<NetworkNamespace>) -> Result<Self, String> {
        let request = Request {
            everybody: true,
            port: Some(port),
            network,
            limit: 64,
            states: true,
            room: RING,
            ..Request::default()
        };
        match Kernel::open(&request) {
            Ok(kernel) => Ok(Self { kernel, port }),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The conversation, with the segments that were captured of it. `None`: there was none.
    pub(super) fn close(
        mut self,
        segments: Vec<SegmentSeen>,
    ) -> anyhow::Result<Option<Conversation>> {
        let mut timeline = Timeline::default();
        let mut touch = Touch::new(self.port);
        let drained = self.kernel.drain(&mut |event| match event {
            Event::Call(call) => touch.take(*call, &mut |call| timeline.call(call)),
            Event::State(change) => timeline.state(change),
            Event::Fork(..) | Event::Exec(_) | Event::Exit(_) => {}
        });
        drained.context("cannot read the calls")?;
        segments
            .into_iter()
            .for_each(|segment| timeline.segment(segment));
        Ok(timeline.conversations().into_iter().next())
    }
}
