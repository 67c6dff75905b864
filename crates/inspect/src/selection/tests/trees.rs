//! Trees of every shape: written and read back, weakened, seen from the other end.

use proptest::prelude::*;

use super::super::{Comparison, End, Network, Pattern, Selection, Test};
use super::selection;
use crate::model::{Family, ForeignText, NetworkNamespace, Pid, Protocol, State, Uid};

fn comparison() -> impl Strategy<Value = Comparison> {
    prop::sample::select(Comparison::ALL.to_vec())
}

fn end() -> impl Strategy<Value = End> {
    prop::sample::select(vec![End::Local, End::Remote])
}

fn network() -> impl Strategy<Value = Network> {
    (any::<std::net::IpAddr>(), 0u8..=128).prop_map(|(address, prefix)| {
        Network::new(address, prefix).unwrap_or(Network::from(address))
    })
}

/// No longer than a process's name.
fn name() -> impl Strategy<Value = ForeignText> {
    prop_oneof![
        "[a-z(* \"'\\\\=|éx-]{1,6}".prop_map(|text| ForeignText::from(text.as_str())),
        prop::collection::vec(any::<u8>(), 1..15).prop_map(ForeignText::new),
        prop::sample::select(vec!["and", "OR", "not", "state", "77", "=", "eq"])
            .prop_map(ForeignText::from),
    ]
}

/// With a wildcard, and too short to be cut.
fn wildcard() -> impl Strategy<Value = Pattern> {
    (
        "[a-z]{0,3}",
        prop::sample::select(vec!["*", "?", "[a-c]", "[!x]"]),
        "[a-z]{0,3}",
    )
        .prop_map(|(before, wildcard, after)| {
            let text = format!("{before}{wildcard}{after}");
            let bytes: Vec<_> = text.bytes().map(|byte| (byte, false)).collect();
            Pattern::from_quoted(&bytes)
        })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        wildcard(),
        name().prop_map(|name| Pattern::exact(name.as_bytes())),
    ]
}

fn tests() -> impl Strategy<Value = Test> {
    prop_oneof![
        prop::sample::select(Family::ALL.to_vec()).prop_map(Test::Family),
        prop::sample::select(vec![Protocol::Tcp, Protocol::UnixDatagram]).prop_map(Test::Protocol),
        prop::sample::select(State::ALL.to_vec()).prop_map(Test::State),
        (1u16..).prop_map(Test::Port),
        any::<std::net::IpAddr>().prop_map(Test::Host),
        (end(), comparison(), any::<u16>()).prop_map(|(end, is, port)| Test::EndPort {
            end,
            is,
            port
        }),
        (end(), network()).prop_map(|(end, network)| Test::EndAddress { end, network }),
        (end(), pattern()).prop_map(|(end, name)| Test::EndUnix { end, name }),
        any::<u32>().prop_map(Test::Interface),
        (any::<u32>(), any::<u32>()).prop_map(|(value, mask)| Test::Mark { value, mask }),
        any::<u64>().prop_map(Test::Cgroup),
        // The range is the machine's, and not written.
        Just(Test::Autobound {
            first: 32_768,
            last: 60_999
        }),
        any::<u64>().prop_map(|inode| Test::NetworkNamespace(NetworkNamespace(inode))),
        any::<u32>().prop_map(|pid| Test::Pid(Pid(pid))),
        name().prop_map(Test::Process),
        wildcard().prop_map(Test::ProcessLike),
        any::<u32>().prop_map(|uid| Test::User(Uid(uid))),
        name().prop_map(Test::Container),
        "[a-z.]{1,6}\\.service"
            .prop_map(|unit: String| Test::Unit(Pattern::exact(unit.as_bytes()))),
        any::<u32>().prop_map(|pid| Test::PeerPid(Pid(pid))),
        pattern().prop_map(Test::PeerProcess),
        (comparison(), any::<u64>()).prop_map(|(is, bytes)| Test::ReceiveQueue(is, bytes)),
        (comparison(), any::<u64>()).prop_map(|(is, bytes)| Test::SendQueue(is, bytes)),
        (comparison(), any::<u64>()).prop_map(|(is, micros)| Test::RoundTrip(is, micros)),
        (comparison(), 0..9_000_000_u64).prop_map(|(is, micros)| Test::RoundTrip(is, micros)),
        (comparison(), any::<u64>()).prop_map(|(is, number)| Test::Retransmits(is, number)),
    ]
}

/// Trees that hold lists of at least so many parts.
fn trees(least: usize) -> impl Strategy<Value = Selection> {
    let leaf = tests().prop_map(Selection::Test);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let parts = prop::collection::vec(inner.clone(), least..5);
        prop_oneof![
            parts.clone().prop_map(Selection::All),
            parts.prop_map(Selection::Any),
            inner.prop_map(|part| Selection::Not(Box::new(part))),
        ]
    })
}

/// An answer to each test, made up from the test itself; `None` to some.
fn answer(test: &Test, seed: u64) -> Option<bool> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (seed, format!("{test:?}")).hash(&mut hasher);
    match hasher.finish() % 3 {
        0 => None,
        number => Some(number == 1),
    }
}

/// False, open, true.
fn rank(value: Option<bool>) -> u8 {
    match value {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    }
}

proptest! {
    #[test]
    fn a_tree_that_is_written_is_read_back(tree in trees(2)) {
        prop_assert_eq!(selection(&tree.to_string()), tree);
    }

    #[test]
    fn any_tree_is_read_back_as_one_that_selects_the_same(tree in trees(0), seed: u64) {
        let again = selection(&tree.to_string());
        let mut ask = |test: &Test| answer(test, seed);
        prop_assert_eq!(again.holds(&mut ask), tree.holds(&mut ask));
    }

    #[test]
    fn the_decidable_part_selects_at_least_as_much(
        tree in trees(0),
        seed: u64,
        which: u64,
    ) {
        let decidable = |test: &Test| answer(test, which).is_some();
        let weaker = tree.decidable_by(&decidable);
        prop_assert!(weaker.tests().into_iter().all(decidable));
        let mut ask = |test: &Test| answer(test, seed);
        let (full, weak) = (tree.holds(&mut ask), weaker.holds(&mut ask));
        prop_assert!(rank(weak) >= rank(full), "{} -> {}", tree, weaker);
        // Two-valued as well: whatever the full one selects.
        let mut ask = |test: &Test| Some(answer(test, seed) == Some(true));
        prop_assert!(tree.holds(&mut ask) != Some(true) || weaker.holds(&mut ask) == Some(true));
    }

    #[test]
    fn all_that_is_decidable_is_kept(tree in trees(2), seed: u64) {
        let mut ask = |test: &Test| answer(test, seed);
        let kept = tree.decidable_by(&|_| true);
        prop_assert_eq!(kept.holds(&mut ask), tree.holds(&mut ask));
        prop_assert_eq!(kept, tree.clone());
        prop_assert_eq!(tree.decidable_by(&|_| false), Selection::everything());
    }

    #[test]
    fn seen_twice_from_the_other_end_it_is_the_same(tree in trees(0)) {
        prop_assert_eq!(tree.mirrored().mirrored(), tree);
    }
}

#[test]
fn a_not_turns_weakening_around() {
    let decidable = |test: &Test| !matches!(test, Test::Process(_));
    for (full, weaker) in [
        ("process = a and sport = :1", "sport = :1"),
        ("process = a or sport = :1", "state all"),
        ("not process = a", "state all"),
        ("not ( process = a and sport = :1 )", "state all"),
        ("not ( process = a or sport = :1 )", "not sport = :1"),
        ("not not process = a and sport = :1", "sport = :1"),
        ("not ( not process = a and sport = :1 )", "state all"),
        ("not ( not process = a or sport = :1 )", "not sport = :1"),
        ("( process = a or sport = :1 ) and dport = :2", "dport = :2"),
        (
            "( process = a and sport = :1 ) or dport = :2",
            "sport = :1 or dport = :2",
        ),
    ] {
        let found = selection(full).decidable_by(&decidable);
        assert_eq!(found.to_string(), weaker, "{full}");
    }
}

#[test]
fn the_other_end_is_asked_the_other_question() {
    for (one, other) in [
        ("sport = :1", "dport = :1"),
        ("dport > :1", "sport > :1"),
        ("src 10.0.0.0/8", "dst 10.0.0.0/8"),
        ("dst unix:/run/x*", "src unix:/run/x*"),
        ("pid = 7", "peer = 7"),
        ("process = a", "peer = a"),
        ("peer = a*", "process = a*"),
        (":80", ":80"),
        ("host 127.0.0.1", "host 127.0.0.1"),
        (
            "not ( sport = :1 or state established )",
            "not ( dport = :1 or state established )",
        ),
    ] {
        assert_eq!(selection(one).mirrored().to_string(), other);
        assert_eq!(selection(other).mirrored().to_string(), one);
    }
}
