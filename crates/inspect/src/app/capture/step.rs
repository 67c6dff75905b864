//! One frame: is it wanted, to which conversation does it belong, what does it mean.

use std::io;
use std::rc::Rc;

use super::chooser::{Chooser, Verdict};
use super::looker::Looker;
use super::output::Output;
use super::show::{Known, Witnesses};
use crate::capture::{
    Conversations, Copies, Datagrams, Fault, Fragments, Frame, Link, Packet, decode, selects,
};
use crate::cli::capture::Request;
use crate::render::packet::Totals;

/// What became of a frame, and of those that waited before it.
pub(super) enum Took {
    /// One is shown, or written.
    Shown,
    /// None is wanted, or nobody can tell yet.
    PassedOver,
    /// It comes after all the files that were asked for.
    Over,
}

/// What is needed for one frame.
pub(super) struct Step<'s> {
    pub(super) everything: bool,
    pub(super) request: &'s Request,
    pub(super) looker: &'s mut Option<Looker>,
    pub(super) output: &'s mut Output,
    pub(super) conversations: &'s mut Conversations<Known>,
    pub(super) fragments: &'s mut Fragments,
    pub(super) datagrams: &'s mut Datagrams,
    pub(super) copies: &'s mut Copies,
    pub(super) chooser: &'s mut Option<Chooser>,
    pub(super) totals: &'s mut Totals,
    pub(super) undecided: &'s mut u64,
}

impl Step<'_> {
    /// Shows a frame, if it is wanted, and those that waited before it; tells what became of them.
    pub(super) fn take(mut self, link: Link, frame: &Frame<'_>) -> io::Result<Took> {
        let packet = decode(link, frame);
        if !self.everything {
            let answer = selects(&self.request.selection, &packet);
            match self.fragments.decide(&packet, answer) {
                Some(true) => {}
                Some(false) => return Ok(Took::PassedOver),
                None => {
                    *self.undecided += 1;
                    return Ok(Took::PassedOver);
                }
            }
        }
        let Some(chooser) = self.chooser else {
            return self.show(frame, &packet, None);
        };
        let witnesses = Witnesses {
            looker: self.looker.as_mut(),
            recalled: &mut self.output.recalled,
        };
        match chooser.take(frame, &packet, witnesses) {
            Verdict::Leave => Ok(Took::PassedOver),
            Verdict::Show(known) => self.show(frame, &packet, Some(&known)),
            Verdict::Hold => self.release(link, false),
        }
    }

    /// Shows those that have waited and are wanted; tells what became of them.
    pub(super) fn release(&mut self, link: Link, end: bool) -> io::Result<Took> {
        let mut took = Took::PassedOver;
        while self.request.count != Some(self.totals.packets) {
            let Some(chooser) = self.chooser else { break };
            let Some(held) = chooser.release(self.looker.as_mut(), end) else {
                break;
            };
            let frame = held.frame();
            took = self.show(&frame, &decode(link, &frame), Some(&held.known))?;
            if matches!(took, Took::Over) {
                break;
            }
        }
        Ok(took)
    }

    /// Shows a frame; `known` is what is known of its conversation already.
    fn show(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        known: Option<&Known>,
    ) -> io::Result<Took> {
        if self.output.is_over_at(frame.time) {
            return Ok(Took::Over);
        }
        self.totals.packets += 1;
        let is_copy = self.copies.is_copy(frame, packet);
        if is_copy {
            self.totals.copies += 1;
        } else {
            self.totals.payload += u64::from(packet.said());
        }
        let together;
        let mut packet = packet;
        if packet.fragment().is_some()
            && !is_copy
            && let Some(whole) = self.datagrams.take(packet.link, frame)
        {
            together = packet.put_together(&whole);
            packet = &together;
        }
        if packet.fault.is_some_and(|fault| fault != Fault::Cut) {
            self.totals.malformed += 1;
        }
        let seen = self.conversations.see(packet);
        if seen.as_ref().is_some_and(|seen| seen.is_new) {
            self.totals.conversations += 1;
        }
        if seen.as_ref().is_some_and(|seen| seen.is_crowded) {
            self.totals.forgotten += 1;
        }
        if let Some(old) = seen.as_ref().and_then(|seen| seen.displaced.as_ref()) {
            self.totals.troubles.unanswered += old.borrow().course.troubles().unanswered;
        }
        if let (Some(seen), Some(known)) = (&seen, known)
            && seen.is_new
        {
            seen.conversation.note.borrow_mut().earlier = Some(Rc::clone(known));
        }
        let mark = self.output.packet(
            self.totals.packets,
            frame,
            packet,
            seen,
            self.looker.as_mut(),
            is_copy,
        )?;
        if let Some(mark) = mark {
            self.totals.troubles.count(mark);
        }
        Ok(Took::Shown)
    }
}
