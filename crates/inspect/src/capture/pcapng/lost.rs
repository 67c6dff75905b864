//! Gaps in a file: in its statistics, as every reader understands them, and in words beside
//! them, which are read back to the same gaps.

use crate::capture::{BY_INTERFACE, BY_KERNEL};
use crate::model::{Gap, Origin};

/// Reasons longer than this were not written by us.
const LONGEST: usize = 512;

/// What an interface, or all of them, lost.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost {
    /// isb_ifdrop: by the interface or its driver.
    pub(super) interface: u64,
    /// isb_osdrop: by the kernel, or epb_dropcount where no statistics say it.
    pub(super) system: u64,
    /// In words, which hold in place of the numbers.
    pub(super) told: Vec<Gap>,
}

/// Different gaps kept of one file.
const MOST: usize = 64;

/// A gap in words: `lost (capture): 12: packets dropped by the kernel`.
pub(super) fn words(gap: &Gap) -> String {
    let count = match gap.count {
        Some(count) => count.to_string(),
        None => "unknown".to_owned(),
    };
    format!("lost ({}): {count}: {}", gap.source.word(), gap.reason)
}

/// How many packets the kernel dropped, and how many the interface.
pub(super) fn dropped(gaps: &[Gap]) -> [u64; 2] {
    [BY_KERNEL, BY_INTERFACE].map(|by| {
        let counts = gaps
            .iter()
            .filter(|gap| gap.source == Origin::Capture && gap.reason.starts_with(by))
            .filter_map(|gap| gap.count);
        counts.fold(0, u64::saturating_add)
    })
}

/// The gap that such words tell.
pub(super) fn heard(words: &[u8]) -> Option<Gap> {
    let text = std::str::from_utf8(words).ok()?.strip_prefix("lost (")?;
    let (source, text) = text.split_once("): ")?;
    let (count, reason) = text.split_once(": ")?;
    let source = [Origin::Sockets, Origin::Owners, Origin::Capture]
        .into_iter()
        .find(|origin| origin.word() == source)?;
    let count = match count {
        "unknown" => None,
        count => Some(count.parse().ok()?),
    };
    (reason.len() <= LONGEST).then(|| Gap {
        source,
        reason: reason.to_owned(),
        count,
    })
}

impl Lost {
    /// Takes in what another interface, or another section, lost.
    pub(super) fn add(&mut self, other: &Self) {
        for gap in &other.told {
            self.tell(gap.clone());
        }
        if other.told.is_empty() {
            self.interface = self.interface.saturating_add(other.interface);
            self.system = self.system.saturating_add(other.system);
        }
    }

    /// Adds a gap in words to those of the same reason.
    pub(super) fn tell(&mut self, gap: Gap) {
        let same = |other: &&mut Gap| other.source == gap.source && other.reason == gap.reason;
        let has_room = self.told.len() < MOST;
        if let Some(other) = self.told.iter_mut().find(same) {
            other.count = match (other.count, gap.count) {
                (Some(one), Some(more)) => Some(one.saturating_add(more)),
                _ => None,
            };
        } else if has_room {
            self.told.push(gap);
        } else {
            // Further reasons are not kept apart.
            self.system = self.system.saturating_add(gap.count.unwrap_or(0));
        }
    }

    /// All of it, as gaps.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let mut gaps = self.told.clone();
        for (count, by) in [(self.system, BY_KERNEL), (self.interface, BY_INTERFACE)] {
            if count > 0 {
                let reason = format!("{by}, says the file");
                gaps.push(Gap::counted(Origin::Capture, reason, count));
            }
        }
        gaps
    }
}
