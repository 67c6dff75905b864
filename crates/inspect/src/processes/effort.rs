//! How much is read to find out what processes do.
//!
//! They choose themselves how many threads, descriptors and watches they have. None of them shall
//! hold up who looks, so each may take so much, and all together no more than some seconds.

/// What may still be read. What is beyond it is not known, and counted.
pub struct Effort<'a> {
    goes_on: &'a dyn Fn() -> bool,
    /// Of all processes.
    left: Amount,
    /// Of the one that is read now.
    of_one: Amount,
    given_up: u64,
}

#[derive(Debug, Clone, Copy)]
struct Amount {
    /// Threads and descriptors.
    entries: u64,
    /// Bytes of what epoll instances tell: some eighty for each file that one watches.
    bytes: u64,
}

impl Amount {
    /// A server with a hundred thousand connections needs so much.
    const OF_ONE: Self = Self {
        entries: 200_000,
        bytes: 16 * 1024 * 1024,
    };

    const OF_ALL: Self = Self {
        entries: 1_000_000,
        bytes: 64 * 1024 * 1024,
    };

    fn without(self, entries: u64, bytes: u64) -> Option<Self> {
        Some(Self {
            entries: self.entries.checked_sub(entries)?,
            bytes: self.bytes.checked_sub(bytes)?,
        })
    }
}

impl<'a> Effort<'a> {
    /// As long as `goes_on` says so, and no longer.
    pub fn new(goes_on: &'a dyn Fn() -> bool) -> Self {
        Self {
            goes_on,
            left: Amount::OF_ALL,
            of_one: Amount::OF_ONE,
            given_up: 0,
        }
    }

    /// Of how many processes something was not read.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// The next process has its own share.
    pub(super) fn next_process(&mut self) {
        self.of_one = Amount::OF_ONE;
    }

    pub(super) fn give_up(&mut self) {
        self.given_up += 1;
    }

    /// Takes the reading of a thread or descriptor; `None` when it may not be read any more.
    pub(super) fn take_entry(&mut self) -> Option<()> {
        if !(self.goes_on)() {
            return None;
        }
        self.take(1, 0)
    }

    /// Takes bytes that were read; `None` when they were too many.
    pub(super) fn take_bytes(&mut self, bytes: usize) -> Option<()> {
        self.take(0, u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// How many bytes may be read at once.
    pub(super) fn bytes(&self) -> u64 {
        self.of_one.bytes.min(self.left.bytes)
    }

    fn take(&mut self, entries: u64, bytes: u64) -> Option<()> {
        self.of_one = self.of_one.without(entries, bytes)?;
        self.left = self.left.without(entries, bytes)?;
        Some(())
    }
}

#[cfg(test)]
impl Effort<'_> {
    /// For a process after which nothing is left.
    pub(super) fn of(goes_on: &dyn Fn() -> bool, entries: u64, bytes: u64) -> Effort<'_> {
        Effort {
            left: Amount { entries, bytes },
            ..Effort::new(goes_on)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_its_share_and_all_have_a_limit() {
        let mut effort = Effort::new(&|| true);
        let mut processes = 0;
        loop {
            effort.next_process();
            let share = usize::try_from(effort.bytes()).unwrap();
            if share == 0 {
                break;
            }
            assert_eq!(effort.take_bytes(share), Some(()));
            assert_eq!(effort.take_bytes(1), None);
            processes += 1;
        }
        assert_eq!(processes, 4);
        assert_eq!(effort.take_entry(), Some(()));
        assert_eq!(Effort::new(&|| false).take_entry(), None);
    }
}
