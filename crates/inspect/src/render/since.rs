//! When something began, and how long ago that was.

use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// How moments are told: in which time zone, and seen from when.
#[derive(Debug, Clone)]
pub struct When {
    zone: TimeZone,
    /// `None` for a recorded tree: now is no moment of its life.
    now: Option<Timestamp>,
}

impl When {
    /// Seen from `now`, on the clocks of a time zone.
    pub fn new(zone: TimeZone, now: Option<Timestamp>) -> Self {
        Self { zone, now }
    }

    /// `since 11:58:02 (2 min ago)`; with the date where it is another day's.
    pub fn since(&self, began: Timestamp) -> String {
        let moment = self.moment(began, " ");
        match self.now {
            Some(now) => format!("since {moment} ({})", ago(began, now)),
            None => format!("since {moment}"),
        }
    }

    /// `11:58:02`, or the date where that is another day's.
    pub fn short(&self, began: Timestamp) -> String {
        let moment = self.moment(began, " ");
        match moment.split_once(' ') {
            Some((date, _)) if self.now.is_some() => date.to_owned(),
            _ => moment,
        }
    }

    /// `2026-01-02T11:58:02`, for a line that programs read.
    pub fn whole(&self, began: Timestamp) -> String {
        let (date, time) = self.civil(began);
        format!("{date}T{time}")
    }

    fn moment(&self, at: Timestamp, gap: &str) -> String {
        let (date, time) = self.civil(at);
        let today = self.now.map(|now| self.civil(now).0);
        if today.as_ref() == Some(&date) {
            time
        } else {
            format!("{date}{gap}{time}")
        }
    }

    /// Date and time of day.
    fn civil(&self, at: Timestamp) -> (String, String) {
        let offset = jiff::Timestamp::from_second(at.seconds())
            .map_or(0, |at| i64::from(self.zone.to_offset(at).seconds()));
        let local = Timestamp::from_parts(at.seconds().saturating_add(offset), 0);
        let date = local.date();
        let second = date.second_of_day;
        (
            format!("{:04}-{:02}-{:02}", date.year, date.month, date.day),
            format!(
                "{:02}:{:02}:{:02}",
                second / 3_600,
                second / 60 % 60,
                second % 60
            ),
        )
    }
}

/// `2 min ago`: in the largest unit of which there are two.
fn ago(began: Timestamp, now: Timestamp) -> String {
    let seconds = now.seconds().saturating_sub(began.seconds());
    match seconds {
        // The kernel tells the boot to a second only, so a start may seem to be yet to come.
        ..=0 => "just now".to_owned(),
        1..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-02 03:04:05 UTC.
    const NOW: i64 = 1_767_323_045;

    fn when() -> When {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        When::new(zone, Some(Timestamp::from_parts(NOW, 0)))
    }

    #[test]
    fn a_moment_of_today_has_no_date() {
        for (before, since, short) in [
            (-1, "since 05:04:06 (just now)", "05:04:06"),
            (5, "since 05:04:00 (5 s ago)", "05:04:00"),
            (150, "since 05:01:35 (2 min ago)", "05:01:35"),
            (3 * 3_600, "since 02:04:05 (3 h ago)", "02:04:05"),
            (
                6 * 3_600,
                "since 2026-01-01 23:04:05 (6 h ago)",
                "2026-01-01",
            ),
            (
                5 * 86_400,
                "since 2025-12-28 05:04:05 (5 days ago)",
                "2025-12-28",
            ),
        ] {
            let began = Timestamp::from_parts(NOW - before, 0);
            assert_eq!(when().since(began), since);
            assert_eq!(when().short(began), short);
        }
    }

    #[test]
    fn seen_from_no_moment_it_is_told_whole() {
        let when = When::new(TimeZone::UTC, None);
        let began = Timestamp::from_parts(NOW, 0);
        assert_eq!(when.since(began), "since 2026-01-02 03:04:05");
        assert_eq!(when.short(began), "2026-01-02 03:04:05");
        assert_eq!(when.whole(began), "2026-01-02T03:04:05");
    }

    proptest::proptest! {
        #[test]
        fn any_two_moments_can_be_told(began: i64, now: i64) {
            let when = When::new(TimeZone::UTC, Some(Timestamp::from_nanos(now)));
            let began = Timestamp::from_nanos(began);
            proptest::prop_assert!(when.since(began).starts_with("since "));
            let _ = when.short(began);
        }
    }
}
