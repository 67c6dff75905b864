//! Threads for work that comes in pieces.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::render::Workers;

/// More than so many wait for each other: what they make is written by one.
const MOST: usize = 4;

/// Does one thing on a thread of its own, where one can be had, and another meanwhile.
pub(super) fn both(one: impl Fn() + Sync, other: impl FnOnce()) {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("inspect-helper".to_owned());
        if thread.spawn_scoped(scope, &one).is_err() {
            one();
        }
        other();
    });
}

/// As many threads as there are processors to run them, up to four; the calling one is one of
/// them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threads {
    count: usize,
}

impl Threads {
    pub(super) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            count: processors.min(MOST),
        }
    }
}

impl Workers for Threads {
    fn in_order(
        &self,
        pieces: usize,
        work: &(dyn Fn(usize) -> io::Result<Vec<u8>> + Sync),
        take: &mut dyn FnMut(Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let desk = Desk {
            pieces,
            next: AtomicUsize::new(0),
            made: Mutex::default(),
            changed: Condvar::new(),
            room: 2 * self.count,
        };
        let helpers = self.count.min(pieces).saturating_sub(1);
        thread::scope(|scope| {
            for _ in 0..helpers {
                let helper = thread::Builder::new().name("inspect-writer".to_owned());
                // Without its help it takes longer.
                let _ = helper.spawn_scoped(scope, || desk.help(work));
            }
            // The helpers wait for pieces to be taken: they end with this, however it ends.
            let _end = End(&desk);
            for piece in 0..pieces {
                take(desk.piece(piece, work)?)?;
            }
            Ok(())
        })
    }
}

/// Makes a piece.
type Work<'a> = dyn Fn(usize) -> io::Result<Vec<u8>> + Sync + 'a;

/// Where pieces are handed over.
struct Desk {
    pieces: usize,
    /// The piece that nobody makes yet.
    next: AtomicUsize,
    made: Mutex<Made>,
    changed: Condvar,
    /// So many pieces may lie there: what is made need not be taken as fast.
    room: usize,
}

#[derive(Default)]
struct Made {
    pieces: BTreeMap<usize, io::Result<Vec<u8>>>,
    /// How many were taken.
    taken: usize,
    ended: bool,
}

impl Desk {
    fn made(&self) -> MutexGuard<'_, Made> {
        // A panic while it was locked goes on when the threads are over.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, made: MutexGuard<'a, Made>) -> MutexGuard<'a, Made> {
        let woken = self.changed.wait(made);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    fn help(&self, work: &Work<'_>) {
        let _end = EndOnPanic(self);
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= self.pieces {
                return;
            }
            let mut made = self.made();
            while piece >= made.taken + self.room && !made.ended {
                made = self.wait(made);
            }
            if made.ended {
                return;
            }
            drop(made);
            let done = work(piece);
            self.made().pieces.insert(piece, done);
            self.changed.notify_all();
        }
    }

    /// The next piece; while another makes it, later ones are made.
    fn piece(&self, wanted: usize, work: &Work<'_>) -> io::Result<Vec<u8>> {
        loop {
            let mut made = self.made();
            if let Some(done) = made.pieces.remove(&wanted) {
                made.taken = wanted + 1;
                self.changed.notify_all();
                return done;
            }
            let crowded = made.pieces.len() >= self.room;
            drop(made);
            let piece = if crowded {
                self.pieces
            } else {
                self.next.fetch_add(1, Ordering::Relaxed)
            };
            if piece < self.pieces {
                let done = work(piece);
                self.made().pieces.insert(piece, done);
                continue;
            }
            let mut made = self.made();
            while !made.pieces.contains_key(&wanted) {
                if made.ended {
                    // Who made it panicked, and that goes on when the threads are over.
                    return Ok(Vec::new());
                }
                made = self.wait(made);
            }
        }
    }
}

impl Desk {
    fn end(&self) {
        self.made().ended = true;
        self.changed.notify_all();
    }
}

/// Ends the work when it goes.
struct End<'a>(&'a Desk);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Ends the work when its thread panics: nobody else makes the piece it was at.
struct EndOnPanic<'a>(&'a Desk);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(threads: usize, pieces: usize, slow: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let work = |piece: usize| {
            if piece == slow {
                thread::sleep(std::time::Duration::from_millis(20));
            }
            Ok(vec![u8::try_from(piece).unwrap()])
        };
        let take = &mut |piece: Vec<u8>| {
            all.extend(piece);
            Ok(())
        };
        let threads = Threads { count: threads };
        threads.in_order(pieces, &work, take).unwrap();
        all
    }

    #[test]
    fn pieces_come_in_their_order_whoever_makes_them() {
        let expected: Vec<u8> = (0..200).collect();
        for threads in 1..6 {
            for slow in [0, 1, 100, 199] {
                assert_eq!(taken(threads, 200, slow), expected, "{threads} threads");
            }
        }
        assert!(taken(2, 0, 0).is_empty());
        assert_eq!(taken(3, 1, 0), [0]);
    }

    #[test]
    fn nothing_is_made_far_ahead_of_what_is_taken() {
        let made = AtomicUsize::new(0);
        let work = |_: usize| {
            made.fetch_add(1, Ordering::Relaxed);
            Ok(Vec::new())
        };
        let mut taken = 0;
        let mut furthest = 0;
        let take = &mut |_: Vec<u8>| {
            thread::sleep(std::time::Duration::from_millis(1));
            taken += 1;
            furthest = furthest.max(made.load(Ordering::Relaxed).saturating_sub(taken));
            Ok(())
        };
        Threads { count: 2 }.in_order(100, &work, take).unwrap();
        assert!(furthest <= 8, "{furthest}");
    }

    #[test]
    fn what_cannot_be_taken_ends_it() {
        let made = AtomicUsize::new(0);
        let work = |_: usize| {
            made.fetch_add(1, Ordering::Relaxed);
            Ok(Vec::new())
        };
        let take = &mut |_: Vec<u8>| Err(io::ErrorKind::BrokenPipe.into());
        let ended = Threads { count: 3 }.in_order(1_000, &work, take);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(made.load(Ordering::Relaxed) < 20);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_of_a_helper_goes_on() {
        let own = thread::current().id();
        let work = |_: usize| {
            assert!(thread::current().id() == own, "not ours");
            thread::sleep(std::time::Duration::from_millis(5));
            Ok(Vec::new())
        };
        let _ = Threads { count: 2 }.in_order(100, &work, &mut |_| Ok(()));
    }
}
